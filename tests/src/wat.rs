//! Route modules in WebAssembly text, made of the parts that a test is about.

/// Where the description, and a fixed answer, lie in the module's memory.
const DESCRIPTION: u64 = 1024;
const ANSWER: u64 = 2048;

/// A module in the making; the parts that are not given are those of a good one.
#[derive(Clone, Debug)]
#[must_use]
pub struct Guest {
    imports: String,
    reads: Vec<String>,
    wants: Vec<String>,
    version: String,
    abi: i32,
    route: String,
    extra: String,
}

impl Guest {
    /// A module that reads nothing, whose route function has this body.
    pub fn new(route: &str) -> Self {
        Self {
            imports: String::new(),
            reads: Vec::new(),
            wants: Vec::new(),
            version: "1".into(),
            abi: 1,
            route: route.into(),
            extra: String::new(),
        }
    }

    /// A module that always answers these bytes, MessagePack if it is a good one.
    pub fn answering(answer: &[u8]) -> Self {
        let route = format!("i64.const {}", packed(ANSWER, answer.len()));
        let data = format!("(data (i32.const {ANSWER}) \"{}\")", escaped(answer));
        Self::new(&route).extra(&data)
    }

    /// A module that always answers the binding of this index.
    pub fn index(index: u8) -> Self {
        assert!(index < 128, "a larger one takes two bytes");
        Self::answering(&[0x91, index])
    }

    /// A module that always answers this queue's name.
    pub fn queue(name: &str) -> Self {
        let mut answer = vec![0x91, 0xd9, name.len() as u8];
        answer.extend_from_slice(name.as_bytes());
        Self::answering(&answer)
    }

    /// A module that always refuses with this reason.
    pub fn refusing(reason: &str) -> Self {
        let packed = packed(ANSWER, reason.len()) | 1 << 63;
        let data = format!("(data (i32.const {ANSWER}) \"{}\")", escaped(reason.as_bytes()));
        Self::new(&format!("i64.const {}", packed as i64)).extra(&data)
    }

    /// An import, as text.
    pub fn import(mut self, import: &str) -> Self {
        self.imports.push_str(import);
        self
    }

    /// The fields of the header that it reads.
    pub fn reads(mut self, fields: &[&str]) -> Self {
        self.reads = fields.iter().map(|&field| field.to_owned()).collect();
        self
    }

    /// The capabilities that it wants.
    pub fn wants(mut self, capabilities: &[&str]) -> Self {
        self.wants = capabilities.iter().map(|&capability| capability.to_owned()).collect();
        self
    }

    /// What it says its version is: other bytes of the same meaning.
    pub fn version(mut self, version: &str) -> Self {
        self.version = version.into();
        self
    }

    /// What `shunt_abi` answers.
    pub fn abi(mut self, abi: i32) -> Self {
        self.abi = abi;
        self
    }

    /// More parts, as text.
    pub fn extra(mut self, extra: &str) -> Self {
        self.extra.push_str(extra);
        self
    }

    /// The module's text.
    pub fn wat(&self) -> String {
        let mut description = vec![0x84];
        push_str(&mut description, "name");
        push_str(&mut description, "test");
        push_str(&mut description, "version");
        push_str(&mut description, &self.version);
        for (name, texts) in [("reads", &self.reads), ("wants", &self.wants)] {
            push_str(&mut description, name);
            description.push(0x90 | texts.len() as u8);
            texts.iter().for_each(|text| push_str(&mut description, text));
        }
        format!(
            "(module {} (memory (export \"memory\") 2)
               (data (i32.const {DESCRIPTION}) \"{}\")
               (func (export \"shunt_abi\") (result i32) i32.const {})
               (func (export \"shunt_alloc\") (param i32) (result i32) i32.const 4096)
               (func (export \"shunt_describe\") (result i64) i64.const {})
               (func (export \"shunt_route\") (param i32 i32) (result i64) {})
               {})",
            self.imports,
            escaped(&description),
            self.abi,
            packed(DESCRIPTION, description.len()),
            self.route,
            self.extra,
        )
    }
}

fn push_str(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&[0xd9, text.len() as u8]);
    out.extend_from_slice(text.as_bytes());
}

fn packed(address: u64, length: usize) -> u64 {
    address << 32 | length as u64
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("\\{byte:02x}")).collect()
}

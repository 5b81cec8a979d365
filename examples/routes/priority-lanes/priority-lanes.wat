;; Sends a message to the lane of its priority, by hand-written WebAssembly text.
;;
;; A binding's key is one digit: the lowest priority that its lane takes. A message goes to all
;; bindings of the highest lane that is not above its priority; one without a priority has 0.
;;
;; Memory: one page.
;;      0   the description and the reasons, at the places that the data segments say
;;   1024   levels: one byte for each binding, the digit of its key
;;   2048   the answer: a head of three bytes, then three bytes for each destination
;;   8192   the input; all calls share it
(module
  (memory (export "memory") 1)

  (global $levels i32 (i32.const 1024))
  (global $answer i32 (i32.const 2048))
  (global $input i32 (i32.const 8192))
  (global $input_length_max i32 (i32.const 57344))
  (global $bindings_max i32 (i32.const 1024))

  ;; How many levels there are.
  (global $count (mut i32) (i32.const 0))
  ;; Where the next byte of the input is read, and where the input ends.
  (global $at (mut i32) (i32.const 0))
  (global $end (mut i32) (i32.const 0))

  ;; {"name": "priority-lanes", "version": "1.0.0", "reads": ["priority"], "wants": []}
  (data (i32.const 0)
    "\84\a4name\aepriority-lanes\a7version\a51.0.0\a5reads\91\a8priority\a5wants\90")
  (data (i32.const 128) "a binding key is one digit, and there are no arguments")
  (data (i32.const 256) "the host's input is not what the contract says")
  (data (i32.const 384) "there are more than 1024 bindings")
  (data (i32.const 512) "the priority is not an integer from 0 to 255")

  (func (export "shunt_abi") (result i32)
    (i32.const 1))

  (func (export "shunt_alloc") (param $length i32) (result i32)
    (select (global.get $input) (i32.const 0)
      (i32.le_u (local.get $length) (global.get $input_length_max))))

  (func (export "shunt_describe") (result i64)
    (call $pack (i32.const 0) (i32.const 58)))

  ;; One binding: 0 where its key is a digit, else the reason.
  (func (export "shunt_check_binding") (param $address i32) (param $length i32) (result i64)
    (call $open (local.get $address) (local.get $length))
    (if (i32.lt_s (call $read_level) (i32.const 0))
      (then (return (call $pack (i32.const 128) (i32.const 54)))))
    (i64.const 0))

  ;; All bindings: their digits become the levels.
  (func (export "shunt_bindings") (param $address i32) (param $length i32) (result i64)
    (local $total i32)
    (local $level i32)
    (call $open (local.get $address) (local.get $length))
    (global.set $count (i32.const 0))
    (local.set $total (call $read_array_head))
    (if (i32.lt_s (local.get $total) (i32.const 0))
      (then (return (call $pack (i32.const 256) (i32.const 46)))))
    (if (i32.gt_u (local.get $total) (global.get $bindings_max))
      (then (return (call $pack (i32.const 384) (i32.const 33)))))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (global.get $count) (local.get $total)))
        (local.set $level (call $read_level))
        (if (i32.lt_s (local.get $level) (i32.const 0))
          (then
            (global.set $count (i32.const 0))
            (return (call $pack (i32.const 128) (i32.const 54)))))
        (i32.store8
          (i32.add (global.get $levels) (global.get $count))
          (local.get $level))
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (br $next)))
    (i64.const 0))

  (func (export "shunt_route") (param $address i32) (param $length i32) (result i64)
    (local $priority i32)
    (local $lane i32)
    (local $index i32)
    (local $level i32)
    (local $out i32)
    (call $open (local.get $address) (local.get $length))
    (local.set $priority (call $read_priority))
    (if (i32.lt_s (local.get $priority) (i32.const 0))
      (then
        (return
          (i64.or
            (call $pack (i32.const 512) (i32.const 44))
            (i64.const 0x8000000000000000)))))

    ;; The highest lane that is not above the priority; -1 where there is none.
    (local.set $lane (i32.const -1))
    (block $found
      (loop $next
        (br_if $found (i32.ge_u (local.get $index) (global.get $count)))
        (local.set $level (call $level (local.get $index)))
        (if (i32.and
              (i32.le_s (local.get $level) (local.get $priority))
              (i32.gt_s (local.get $level) (local.get $lane)))
          (then (local.set $lane (local.get $level))))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next)))

    ;; The indexes of its bindings, each as an uint 16.
    (local.set $out (i32.add (global.get $answer) (i32.const 3)))
    (local.set $index (i32.const 0))
    (block $written
      (loop $next
        (br_if $written (i32.ge_u (local.get $index) (global.get $count)))
        (if (i32.eq (call $level (local.get $index)) (local.get $lane))
          (then
            (i32.store8 (local.get $out) (i32.const 0xcd))
            (call $store16 (i32.add (local.get $out) (i32.const 1)) (local.get $index))
            (local.set $out (i32.add (local.get $out) (i32.const 3)))))
        (local.set $index (i32.add (local.get $index) (i32.const 1)))
        (br $next)))

    (local.set $length (i32.sub (local.get $out) (global.get $answer)))
    (if (i32.eq (local.get $length) (i32.const 3))
      (then (return (i64.const 0))))
    ;; An array 16 of (length - 3) / 3 items.
    (i32.store8 (global.get $answer) (i32.const 0xdc))
    (call $store16
      (i32.add (global.get $answer) (i32.const 1))
      (i32.div_u (i32.sub (local.get $length) (i32.const 3)) (i32.const 3)))
    (call $pack (global.get $answer) (local.get $length)))

  (func $level (param $index i32) (result i32)
    (i32.load8_u (i32.add (global.get $levels) (local.get $index))))

  (func $store16 (param $address i32) (param $number i32)
    (i32.store8 (local.get $address) (i32.shr_u (local.get $number) (i32.const 8)))
    (i32.store8 (i32.add (local.get $address) (i32.const 1)) (local.get $number)))

  (func $pack (param $address i32) (param $length i32) (result i64)
    (i64.or
      (i64.shl (i64.extend_i32_u (local.get $address)) (i64.const 32))
      (i64.extend_i32_u (local.get $length))))

  (func $open (param $address i32) (param $length i32)
    (global.set $at (local.get $address))
    (global.set $end (i32.add (local.get $address) (local.get $length))))

  ;; The next byte; -1 behind the end.
  (func $read_byte (result i32)
    (if (i32.ge_u (global.get $at) (global.get $end))
      (then (return (i32.const -1))))
    (i32.load8_u (global.get $at))
    (global.set $at (i32.add (global.get $at) (i32.const 1))))

  ;; Two bytes, the higher first; negative behind the end.
  (func $read_u16 (result i32)
    (i32.or
      (i32.shl (call $read_byte) (i32.const 8))
      (call $read_byte)))

  ;; The count of a fixarray or an array 16; -1 where there is another value.
  (func $read_array_head (result i32)
    (local $tag i32)
    (local.set $tag (call $read_byte))
    (if (i32.eq (i32.and (local.get $tag) (i32.const -16)) (i32.const 0x90))
      (then (return (i32.and (local.get $tag) (i32.const 15)))))
    (if (i32.eq (local.get $tag) (i32.const 0xdc))
      (then (return (call $read_u16))))
    (i32.const -1))

  ;; The length of a fixstr or a str 8, which all names in AMQP fit in; -1 where there is
  ;; another value.
  (func $read_text_head (result i32)
    (local $tag i32)
    (local.set $tag (call $read_byte))
    (if (i32.eq (i32.and (local.get $tag) (i32.const -32)) (i32.const 0xa0))
      (then (return (i32.and (local.get $tag) (i32.const 31)))))
    (if (i32.eq (local.get $tag) (i32.const 0xd9))
      (then (return (call $read_byte))))
    (i32.const -1))

  ;; Moves behind a text; 0 where there is another value.
  (func $skip_text (result i32)
    (local $length i32)
    (local.set $length (call $read_text_head))
    (if (i32.lt_s (local.get $length) (i32.const 0))
      (then (return (i32.const 0))))
    (global.set $at (i32.add (global.get $at) (local.get $length)))
    (i32.const 1))

  ;; The digit of the next binding, [kind, name, key, arguments]; -1 where it has none, or has
  ;; arguments.
  (func $read_level (result i32)
    (local $level i32)
    (if (i32.ne (call $read_array_head) (i32.const 4))
      (then (return (i32.const -1))))
    (if (i32.eqz (i32.and (call $skip_text) (call $skip_text)))
      (then (return (i32.const -1))))
    (if (i32.ne (call $read_text_head) (i32.const 1))
      (then (return (i32.const -1))))
    (local.set $level (i32.sub (call $read_byte) (i32.const 0x30)))
    (if (i32.ne (call $read_byte) (i32.const 0x80))
      (then (return (i32.const -1))))
    (select (local.get $level) (i32.const -1)
      (i32.lt_u (local.get $level) (i32.const 10))))

  ;; The one field, [priority]: nil is 0, a fixint or an uint 8 itself, all else -1.
  (func $read_priority (result i32)
    (local $tag i32)
    (if (i32.ne (call $read_array_head) (i32.const 1))
      (then (return (i32.const -1))))
    (local.set $tag (call $read_byte))
    (if (i32.lt_u (local.get $tag) (i32.const 0x80))
      (then (return (local.get $tag))))
    (if (i32.eq (local.get $tag) (i32.const 0xc0))
      (then (return (i32.const 0))))
    (if (i32.eq (local.get $tag) (i32.const 0xcc))
      (then (return (call $read_byte))))
    (i32.const -1))
)

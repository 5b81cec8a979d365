// Plays a scenario with amqplib; see scenario.py, which does the same with pika.
'use strict';

const amqplib = require('amqplib');

async function declare(channel, scenario) {
  for (const [name, kind, options] of scenario.exchanges) {
    await channel.assertExchange(name, kind, { durable: true, arguments: options });
  }
  for (const name of scenario.queues) {
    await channel.assertQueue(name, { durable: true });
  }
  for (const [kind, destination, source, key, options] of scenario.bindings) {
    if (kind === 'queue') {
      await channel.bindQueue(destination, source, key, options);
    } else {
      await channel.bindExchange(destination, source, key, options);
    }
  }
}

async function publish(channel, messages) {
  const returned = [];
  channel.on('return', (message) => returned.push(message.content.toString()));
  for (const [exchange, key, headers, body] of messages) {
    const options = { headers, persistent: true, mandatory: true };
    channel.publish(exchange, key, Buffer.from(body), options);
  }
  await channel.waitForConfirms();
  return returned;
}

async function consume(channel, queue) {
  const { messageCount } = await channel.checkQueue(queue);
  const bodies = [];
  if (messageCount === 0) return bodies;
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));
  const { consumerTag } = await channel.consume(queue, (message) => {
    bodies.push(message.content.toString());
    channel.ack(message);
    if (bodies.length === messageCount) finish();
  });
  await finished;
  await channel.cancel(consumerTag);
  return bodies;
}

const steps = {
  'missing queue': (channel) => channel.checkQueue('none'),
  'missing exchange': (channel) => channel.checkExchange('none'),
  'reserved name': (channel) => channel.assertQueue('amq.mine'),
  'other durability': (channel) =>
    channel.assertExchange('amq.topic', 'topic', { durable: false }),
};

async function refused(connection, step) {
  const channel = await connection.createChannel();
  channel.on('error', () => {});
  try {
    await steps[step](channel);
    return 0;
  } catch (error) {
    return error.code;
  }
}

async function main() {
  const { url, scenario } = JSON.parse(process.argv[2]);
  const connection = await amqplib.connect(url);
  const channel = await connection.createConfirmChannel();
  await declare(channel, scenario);
  const returned = await publish(channel, scenario.messages);
  const queues = {};
  for (const queue of scenario.queues) {
    queues[queue] = await consume(channel, queue);
  }
  const codes = [];
  for (const step of scenario.refused) {
    codes.push(await refused(connection, step));
  }
  await connection.close();
  console.log(JSON.stringify({ queues, returned, refused: codes }));
}

main();

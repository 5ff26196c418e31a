// Exercises a server with ioredis: node check.js PORT. Prints "ok" or throws.
import assert from "node:assert/strict";
import Redis from "ioredis";

const port = Number(process.argv[2]);
const redis = new Redis({ port, host: "127.0.0.1", maxRetriesPerRequest: 1 });
const subscriber = redis.duplicate();

assert.equal(await redis.flushall(), "OK");
assert.equal(await redis.set("k", "v", "EX", 100), "OK");
assert.equal(await redis.get("k"), "v");
assert.ok((await redis.ttl("k")) > 90);
await redis.set("binary", Buffer.from([0, 255, 13, 10]));
assert.deepEqual(await redis.getBuffer("binary"), Buffer.from([0, 255, 13, 10]));
assert.equal(await redis.hset("h", { a: 1, b: 2 }), 2);
assert.deepEqual(await redis.hgetall("h"), { a: "1", b: "2" });
assert.equal(await redis.rpush("l", "x", "y", "z"), 3);
assert.deepEqual(await redis.lrange("l", 0, -1), ["x", "y", "z"]);
assert.equal(await redis.zadd("z", 1, "a", 2.5, "b"), 2);
assert.deepEqual(await redis.zrange("z", 0, -1, "WITHSCORES"), ["a", "1", "b", "2.5"]);
await assert.rejects(redis.incr("l"), /WRONGTYPE/);

const pipelined = await redis.pipeline().incr("n").incr("n").lpush("n", "x").exec();
assert.deepEqual(pipelined.slice(0, 2), [[null, 1], [null, 2]]);
assert.match(pipelined[2][0].message, /WRONGTYPE/);
assert.deepEqual(await redis.multi().set("t", "1").incr("t").exec(), [[null, "OK"], [null, 2]]);

redis.defineCommand("add", { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], ARGV[1])" });
assert.equal(await redis.add("sum", 5), 5);
assert.equal(await redis.add("sum", 6), 11);

const message = new Promise((resolve) => subscriber.once("message", (channel, text) => resolve([channel, text])));
await subscriber.subscribe("channel");
assert.equal(await redis.publish("channel", "hello"), 1);
assert.deepEqual(await message, ["channel", "hello"]);

await redis.mset(Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`scan:${index}`, "x"])));
const seen = new Set();
for await (const keys of redis.scanStream({ match: "scan:*", count: 50 })) keys.forEach((key) => seen.add(key));
assert.equal(seen.size, 500);

const popped = redis.duplicate();
const waiting = popped.blpop("queue", 10);
await redis.rpush("queue", "job");
assert.deepEqual(await waiting, ["queue", "job"]);

await Promise.all([redis.quit(), subscriber.quit(), popped.quit()]);
console.log("ok");

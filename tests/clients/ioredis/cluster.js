// Exercises a cluster with ioredis: node cluster.js PORT. Prints "ok" or throws.
import assert from "node:assert/strict";
import Redis from "ioredis";

const nodes = [{ host: "127.0.0.1", port: Number(process.argv[2]) }];
const cluster = new Redis.Cluster(nodes, { scaleReads: "master" });

for (let index = 0; index < 100; index += 1) assert.equal(await cluster.set(`io:${index}`, index), "OK");
for (let index = 0; index < 100; index += 1) assert.equal(await cluster.get(`io:${index}`), String(index));
assert.deepEqual(await cluster.mget("{io}a", "{io}b"), [null, null]);
await assert.rejects(cluster.mget("io:1", "io:2", "io:3"), /CROSSSLOT/);
assert.deepEqual(await cluster.multi().set("{io}n", "1").incr("{io}n").exec(), [[null, "OK"], [null, 2]]);
const pipelined = await cluster.pipeline().set("{io}x", "1").get("{io}x").exec();
assert.deepEqual(pipelined, [[null, "OK"], [null, "1"]]);

cluster.defineCommand("add", { numberOfKeys: 1, lua: "return redis.call('incrby', KEYS[1], ARGV[1])" });
assert.equal(await cluster.add("io:sum", 5), 5);
assert.equal(cluster.nodes("master").length, 3);
const sizes = await Promise.all(cluster.nodes("master").map((node) => node.dbsize()));
assert.ok(sizes.every((size) => size > 0));

const subscriber = new Redis.Cluster(nodes);
const message = new Promise((resolve) => subscriber.once("message", (...found) => resolve(found)));
await subscriber.subscribe("channel");
for (const node of cluster.nodes("master")) await node.publish("channel", "hello");
assert.deepEqual(await message, ["channel", "hello"]);

// Reads go to replicas, which need READONLY; what is not there yet is asked for again.
const reader = new Redis.Cluster(nodes, { scaleReads: "slave" });
for (let wait = 0; (await reader.get("io:7")) !== "7"; wait += 1) assert.ok(wait < 1000);

await Promise.all(Array.from({ length: 100 }, (_, index) => cluster.del(`io:${index}`)));
await cluster.del("io:sum");
await cluster.del("{io}n", "{io}x");
await Promise.all([cluster.quit(), subscriber.quit(), reader.quit()]);
console.log("ok");

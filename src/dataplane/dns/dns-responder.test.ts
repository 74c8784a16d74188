import assert from "node:assert/strict";
import { test } from "node:test";
import { decode, encode } from "dns-packet";
import { createLogger, transientError } from "../../base/index.ts";
import { DnsResponder } from "./dns-responder.ts";

const query = encode({ type: "query", id: 7, flags: 0x0100, questions: [{ type: "A", name: "slow.example" }] });
const forwarder = {
  forward: async (): Promise<never> => {
    throw transientError("busy", "too many queries wait");
  },
};

test("failures of each client's queries are warned of once in ten seconds, with the number of those between", async () => {
  const lines: string[] = [];
  const write = (line: string, level: string): void => void (level === "warn" && lines.push(line));
  let nowMs = 0;
  const responder = new DnsResponder(
    forwarder,
    createLogger({ scope: "dns", write, format: { messageKey: "msg" } }),
    () => nowMs,
  );
  const ask = async (client: string): Promise<unknown> =>
    await responder.answer(query, "udp", () => undefined, { client });
  const warned = (): unknown[] =>
    lines.splice(0).map((line) => {
      const { client, failedSince } = JSON.parse(line) as Record<string, unknown>;
      return [client, failedSince];
    });
  for (let count = 0; count < 5; count += 1) await ask("shop/web");
  await ask("shop/db");
  assert.deepEqual(warned(), [
    ["shop/web", 0],
    ["shop/db", 0],
  ]);
  nowMs = 9_999;
  await ask("shop/web");
  assert.deepEqual(warned(), []);
  nowMs = 10_000;
  await ask("shop/web");
  assert.deepEqual(warned(), [["shop/web", 5]]);
  for (let index = 0; index < 1_000; index += 1) await ask(`shop/other-${index}`);
  lines.splice(0);
  await ask("shop/web");
  assert.deepEqual(warned(), [["shop/web", 0]], "the places of earlier clients are given up");
});

test("a failure repeats the opcode and the desired recursion of its query, and no other flag", async () => {
  const responder = new DnsResponder(forwarder, createLogger({ scope: "dns", write: () => {} }));
  const asked = Buffer.from(query);
  // Opcode 4, authoritative, truncated, recursion desired, recursion available, all Z bits, and response code 15.
  asked.writeUInt16BE(0x27ff, 2);
  const answer = await responder.answer(asked, "udp", () => undefined);
  assert.equal(answer?.readUInt16BE(2), 0xa182);
  assert.equal(decode(answer ?? assert.fail()).id, 7);
});

import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeCalls } from "./starter-calls.ts";
import { callsAddress, maxCallsBytes } from "./starter-program.ts";

const firstData = callsAddress + 2 * 80;

test("calls are followed by what they point to, and their numbers are those of the processor", () => {
  const failure = { message: "no", exitCode: 7 };
  const calls = [
    { name: "umask", arguments: [0o22] },
    { name: "execve", arguments: ["/bin/sh", ["a", "b"], -1], failure },
  ] as const;
  for (const [architecture, umask, execve] of [
    ["x64", 95, 59],
    ["arm64", 166, 221],
  ] as const) {
    const bytes = encodeCalls(calls, architecture);
    const fields = Array.from({ length: 20 }, (_, index) => Number(bytes.readBigInt64LE(index * 8)));
    const [path, texts, list, message] = [firstData, firstData + 8, firstData + 24, firstData + 48];
    assert.deepEqual(fields.slice(0, 10), [umask, 0o22, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual(fields.slice(10), [execve, path, list, -1, 0, 0, 0, 3, message, 7]);
    const data = bytes.subarray(160);
    assert.equal(data.toString("latin1", 0, 24), "/bin/sh\0a\0\0\0\0\0\0\0b\0\0\0\0\0\0\0");
    assert.deepEqual(
      [0, 1, 2].map((index) => Number(data.readBigInt64LE(24 + index * 8))),
      [texts, texts + 8, 0],
    );
    assert.equal(data.toString("latin1", 48, 51), "no\n");
  }
});

test("a command with more than the starter reads is an error of the user, which names both lengths", () => {
  const long = { name: "execve", arguments: ["x".repeat(maxCallsBytes)] } as const;
  assert.throws(() => encodeCalls([long], "x64"), /take 4194392 bytes; expected at most 4194304/);
});

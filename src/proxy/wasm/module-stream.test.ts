import assert from "node:assert/strict";
import { test } from "node:test";
import type { FilterRequest } from "../filters/http-filter.ts";
import { action } from "./abi.ts";
import type { MachineAnswer, StreamEvent } from "./messages.ts";
import type { ModuleMachine } from "./module-machine.ts";
import { ModuleStream } from "./module-stream.ts";

/** A stream of a module that pauses each part, until it fails. */
async function pausedStream(): Promise<{
  readonly stream: ModuleStream;
  readonly fail: () => void;
  readonly heldBytes: () => number;
}> {
  const paused: MachineAnswer = { context: 1, action: action.pause, body: undefined, effects: [] };
  let hasFailed = false;
  let heldBytes = 0;
  const machine: Pick<ModuleMachine, "open" | "event" | "closeStream"> = {
    open: async () => await Promise.resolve({ ...paused, action: action.continue }),
    event: async (_stream: number, event: StreamEvent) => {
      await Promise.resolve();
      if (hasFailed) throw new Error(`no ${event.kind}`);
      return paused;
    },
    closeStream: () => undefined,
  };
  const stream = new ModuleStream({
    session: { machine: machine as ModuleMachine, root: 1 },
    request: { bodyHeld: (difference: number) => void (heldBytes += difference) } as FilterRequest,
    attributes: {},
    passesOnFailure: true,
    setProperty: () => undefined,
  });
  await stream.requestHead([], false);
  return { stream, fail: () => void (hasFailed = true), heldBytes: () => heldBytes };
}

test("a paused module's stream joins small parts, and keeps none of the pieces in which they came", async () => {
  const { stream, fail } = await pausedStream();
  // Every piece uses the same memory, so a piece that the stream had kept without a copy would be wrong.
  const piece = Buffer.alloc(1);
  const text = "0123456789".repeat(50);
  for (const letter of text) {
    piece.write(letter);
    const outcome = await stream.requestBody(piece, false);
    assert.deepEqual(outcome, { kind: "pass", part: Buffer.alloc(0) });
  }
  fail();
  piece.write("!");
  const outcome = await stream.requestBody(piece, true);
  assert.equal(outcome.kind === "pass" ? outcome.part.toString() : outcome.kind, `${text}!`);
});

test("what a paused module held leaves before the parts that pass without it", async () => {
  const { stream, heldBytes } = await pausedStream();
  await stream.requestBody(Buffer.from("held, "), false);
  assert.equal(heldBytes(), 12, "the module's thread has a copy");
  stream.moduleFailed();
  const outcome = await stream.requestBody(Buffer.from("passed"), true);
  assert.equal(outcome.kind === "pass" ? outcome.part.toString() : outcome.kind, "held, passed");
  assert.equal(heldBytes(), 0);
});

import { FrameWriter, hpackEncode } from "../../../src/wire/http2/index.ts";
import { requestBlock, SessionModel, type Action } from "../../../src/wire/http2/testing/session-model.ts";
import { expect, type FuzzTarget } from "../target.ts";

const maxActions = 80;
const blocks = [
  requestBlock,
  hpackEncode(["x-end", "yes"]),
  hpackEncode([":status", "200"]),
  Buffer.from("3fffffff", "hex"),
];
const sizes = [0, 1, 100, 1024, 5000, 20_000, 65_535, 70_000, 2 ** 31 - 1];

/**
 * Reads actions from the input: three bytes each, for the kind, the stream and the amount. Some actions also take raw
 * bytes.
 */
function actionsOf(input: Buffer): Action[] {
  const actions: Action[] = [];
  for (let at = 1; at + 2 < input.length && actions.length < maxActions; at += 3) {
    const [action = 0, stream = 0, amount = 0] = input.subarray(at, at + 3);
    const id = stream % 32;
    const end = (stream & 32) !== 0;
    const size = sizes[amount % sizes.length] ?? 0;
    const makers: readonly (() => Action)[] = [
      () => ({ does: "headers", id, block: blocks[amount % blocks.length] ?? requestBlock, end }),
      () => ({ does: "data", id, bytes: Math.min(size, 16_000), end }),
      () => ({ does: "reset", id, code: amount % 14 }),
      () => ({ does: "window", id, by: Math.max(1, size) }),
      () => ({ does: "settings", values: [[id % 7, size]] }),
      () => ({ does: "ping", opaque: Buffer.alloc(8, amount), ack: end }),
      () => ({ does: "goaway", last: id, code: amount % 14 }),
      () => ({ does: "answer", id, end }),
      () => ({ does: "write", id, bytes: Math.min(size, 70_000), end }),
      () => ({ does: "drop", id, code: amount % 14 }),
      () => ({ does: end ? "pause" : "resume", id }),
      () => ({ does: (["full", "room", "drain", "refuse-more", "open"] as const)[amount % 5] ?? "room" }),
      () => ({ does: "pass", ms: amount * 100 }),
      () => {
        const payload = input.subarray(at + 3, at + 3 + (amount % 64));
        at += payload.length;
        return { does: "frame", type: amount >> 4, flags: stream, id, payload };
      },
      () => {
        const bytes = input.subarray(at + 3, at + 3 + amount);
        at += bytes.length;
        return { does: "noise", bytes };
      },
    ];
    const make = makers[action % makers.length];
    if (make !== undefined) actions.push(make());
  }
  return actions;
}

function play(input: Buffer, pieceBytes: number): SessionModel {
  const model = new SessionModel(((input[0] ?? 0) & 1) === 0, pieceBytes);
  for (const action of actionsOf(input)) model.play(action);
  return model;
}

function noiseOf(write: (writer: FrameWriter) => void): Buffer {
  const writer = new FrameWriter();
  write(writer);
  const bytes = Buffer.from(writer.view());
  return Buffer.concat([Buffer.from([0, 14, 0, bytes.length]), bytes]);
}

export const target: FuzzTarget = {
  title: "sessions of HTTP/2, played to by a peer and by their own side",
  seeds: [
    Buffer.from([0, 0, 1, 0, 7, 1, 0, 1, 33, 2, 8, 33, 3]),
    Buffer.from([0, 0, 1, 0, 3, 1, 4, 8, 1, 7, 10, 33, 0, 12, 0, 200, 2, 1, 8]),
    Buffer.from([1, 11, 0, 4, 8, 1, 7, 0, 1, 2, 1, 33, 2, 9, 1, 8]),
    noiseOf((writer) => writer.headers(1, requestBlock, true, 16_384)),
    noiseOf((writer) => {
      writer.headers(1, requestBlock, false, 16_384);
      writer.windowUpdate(1, 2 ** 31 - 1);
      writer.rstStream(1, 8);
    }),
  ],
  maxBytes: 400,
  run: (input) => {
    const model = play(input, Infinity);
    const faults = model.finish();
    expect(faults.length === 0, faults.join("; "));
  },
};

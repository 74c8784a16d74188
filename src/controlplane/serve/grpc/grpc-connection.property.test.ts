import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { hpackEncode, setting } from "../../../wire/http2/index.ts";
import type { GrpcCall } from "./grpc-call.ts";
import { grpcStatus } from "./grpc-status.ts";
import { FrameClient, framed, requestFields, TestOwner } from "./testing/frame-client.ts";

/** A server that answers each request. It throws if a call gets an event after its end. */
function serving() {
  const open = new Set<GrpcCall>();
  const owner = new TestOwner((call) => {
    open.add(call);
    let isOver = false;
    const check = (): void => assert.equal(isOver, false, "told after the end");
    call.start({
      message: (bytes) => {
        check();
        call.write([Buffer.from("answer "), Buffer.alloc(bytes.length * 50)]);
        if (bytes[0] === 0x7a) call.end(grpcStatus.ok);
      },
      ended: () => {
        check();
        call.end();
      },
      drained: check,
      failed: (error) => {
        check();
        call.end(grpcStatus.invalidArgument, error.message);
      },
      closed: () => {
        check();
        isOver = true;
        open.delete(call);
      },
    });
  });
  return { owner, open };
}

const id = fc.constantFrom(0, 1, 2, 3, 5, 7, 9, 2 ** 31 - 1);
const bytes = fc.uint8Array({ maxLength: 60 }).map((values) => Buffer.from(values));
const messages = fc
  .array(fc.string({ maxLength: 20 }), { maxLength: 3 })
  .map((texts) => Buffer.concat(texts.map((text) => framed(text))));
const fields = fc.oneof(
  { weight: 6, arbitrary: fc.constant(requestFields) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.nat(requestFields.length - 1), fc.string({ maxLength: 12 }))
      .map(([at, text]) => requestFields.with(at, text)),
  },
  {
    weight: 1,
    arbitrary: fc
      .array(fc.string({ maxLength: 8 }), { maxLength: 6 })
      .map((texts) => (texts.length % 2 === 0 ? texts : texts.slice(1))),
  },
);
type Put = (client: FrameClient) => void;
const frame: fc.Arbitrary<Put> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(id, fields, fc.boolean()).map(
      ([stream, list, ends]): Put =>
        ({ writer }) =>
          writer.headers(stream, hpackEncode(list), ends, 16_384),
    ),
  },
  {
    weight: 6,
    arbitrary: fc.tuple(id, fc.oneof(messages, bytes), fc.boolean()).map(
      ([stream, body, ends]): Put =>
        ({ writer }) =>
          writer.data(stream, body, 0, body.length, ends),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(id, fc.nat(13)).map(
      ([stream, code]): Put =>
        ({ writer }) =>
          writer.rstStream(stream, code),
    ),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(id, fc.constantFrom(0, 1, 100, 2 ** 31 - 1)).map(
      ([stream, by]): Put =>
        ({ writer }) =>
          writer.windowUpdate(stream, by),
    ),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(
        fc.constantFrom(setting.headerTableSize, setting.initialWindowSize, setting.maxFrameSize, 99),
        fc.constantFrom(0, 1, 100, 16_384, 70_000, 2 ** 31),
      )
      .map(
        (pair): Put =>
          ({ writer }) =>
            writer.settings([pair]),
      ),
  },
  { weight: 1, arbitrary: fc.constant<Put>(({ writer }) => writer.ping(Buffer.from("goaway!!"), true)) },
  { weight: 1, arbitrary: fc.constant<Put>(({ writer }) => writer.goaway(0, 0)) },
  { weight: 1, arbitrary: fc.constant<Put>(({ connection }) => connection.drain()) },
  { weight: 1, arbitrary: fc.constant<Put>(({ pipe }) => (pipe.stuck = true)) },
  { weight: 1, arbitrary: fc.constant<Put>(({ pipe }) => pipe.drain()) },
  // Any frame whose length field is correct.
  {
    weight: 3,
    arbitrary: fc.tuple(fc.nat(12), fc.nat(255), id, bytes).map(
      ([type, flags, stream, body]): Put =>
        ({ writer }) =>
          writer.frame(type, flags, stream, body),
    ),
  },
  {
    weight: 1,
    arbitrary: bytes.map(
      (noise): Put =>
        ({ writer }) =>
          writer.raw(noise),
    ),
  },
);

/** Checks that nothing is thrown, that the output is valid HTTP/2, and that a connection that ends says why. */
async function check(put: readonly Put[], size: number): Promise<void> {
  const { owner, open } = serving();
  const client = new FrameClient(owner);
  client.send();
  for (const one of put) {
    one(client);
    client.send(undefined, size);
  }
  const frames = await client.takeFrames();
  assert.ok(frames.length > 0);
  const isStuck = client.pipe.stuck;
  if (client.pipe.ended && !isStuck)
    assert.ok(
      frames.some((event) => event.startsWith("goaway")),
      frames.join("\n"),
    );
  client.pipe.handler?.close(undefined);
  assert.deepEqual(
    [open.size, [...client.connection.calls].length, owner.clock.timers, owner.closedBy.length],
    [0, 0, 0, 1],
  );
}

test("any frames in any order cause no exception, each call ends once, and a connection ends with a reason", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(frame, { maxLength: 25 }),
      fc.constantFrom(1, 3, 50, Infinity),
      async (put, size) => await check(put, size),
    ),
    { numRuns: 400 },
  );
});

test("arbitrary bytes, with or without a preface, leave the connection alive or end it with a reason", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), fc.boolean(), async (noise, greets) => {
      const { owner, open } = serving();
      const client = new FrameClient(owner);
      if (greets) client.send();
      client.send(Buffer.from(noise));
      const frames = await client.takeFrames();
      assert.ok(frames.length > 0);
      if (client.pipe.ended) assert.match(frames.at(-1) ?? "", /^goaway \d+ [A-Z_0-9]+: /);
      client.pipe.handler?.close(undefined);
      assert.deepEqual([open.size, owner.clock.timers, owner.closedBy.length], [0, 0, 1]);
    }),
    { numRuns: 300 },
  );
});

import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { containErrors } from "../base/index.ts";
import { bytePath } from "./byte-path.ts";
import type { ByteStream, ByteStreamHandler } from "./byte-stream.ts";
import { unread } from "./peek.ts";
import { Recorder } from "./testing/recorder.ts";

const quiet: ByteStreamHandler = { data() {}, end() {}, drain() {}, close() {} };

function fail(): never {
  throw new TypeError("a fault of the reader");
}

for (const kind of ["libuv", "node"] as const) {
  const path = bytePath(kind);
  assert.ok(path !== undefined);

  /** Connects two clients. The listener passes the first one's stream to `faulty`, and echoes to the second one. */
  const serveTwo = async (faulty: (stream: ByteStream) => void, first: (client: ByteStream) => void): Promise<void> => {
    let accepted = 0;
    const listener = await path.listenTcp({ address: "127.0.0.1", port: 0 }, (stream) => {
      accepted += 1;
      if (accepted === 1) return faulty(stream);
      stream.setHandler({ ...quiet, data: (chunk) => void stream.write(Buffer.from(chunk)), end: () => stream.end() });
      stream.resume();
    });
    const connect = async (): Promise<ByteStream> =>
      await path.connectTcp({ address: "127.0.0.1", port: listener.address.port, timeoutMs: 5000 });
    try {
      // The reset of a connection may arrive before `connect` has completed.
      const client = await connect().catch(() => undefined);
      if (client !== undefined) {
        const { closed } = new Recorder(client);
        first(client);
        await closed;
      }
      const next = await connect();
      const { ended } = new Recorder(next);
      next.write(Buffer.from("echo"));
      next.end();
      assert.equal((await ended).toString(), "echo");
    } finally {
      listener.close();
    }
  };

  suite(`an error of a reader ends its connection only, on ${kind}`, () => {
    const read = (handler: Partial<ByteStreamHandler>) => (stream: ByteStream) => {
      stream.setHandler({ ...quiet, ...handler });
      stream.resume();
    };
    const cases: Record<string, readonly [faulty: (stream: ByteStream) => void, first: (client: ByteStream) => void]> =
      {
        accept: [fail, () => undefined],
        data: [read({ data: fail }), (client) => void client.write(Buffer.from("x"))],
        end: [read({ end: fail }), (client) => client.end()],
        close: [read({ close: fail }), (client) => client.destroy({ reset: true })],
        "data that was put back": [
          (stream) => read({ data: fail })(unread(stream, Buffer.from("early"))),
          () => undefined,
        ],
        drain: [
          (stream) => {
            stream.setHandler({ ...quiet, drain: fail });
            for (let written = 0; written < 64 && stream.write(Buffer.alloc(262_144)); written += 1);
          },
          () => undefined,
        ],
      };
    for (const [name, [faulty, first]] of Object.entries(cases))
      test(name, async () => {
        const reported: unknown[] = [];
        using _ = containErrors((error) => void reported.push(error));
        await serveTwo(faulty, first);
        assert.deepEqual(reported.map(String), ["TypeError: a fault of the reader"]);
      });
  });
}

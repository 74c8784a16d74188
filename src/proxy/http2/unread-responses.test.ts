import assert from "node:assert/strict";
import { connect as connectHttp2, constants, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { connect } from "node:net";
import { test } from "node:test";
import { until } from "../../base/testing/index.ts";
import { heldInput, heldInputBytes } from "../../dataplane/index.ts";
import { forwardTo, Harness, route, tableOf } from "../testing/harness.ts";

const threads = 1_000_000;
const leastLimit = heldInputBytes(0, threads);
const responseBytes = 15_000;

/** A client that opens no windows for responses. */
class Client {
  readonly session: ClientHttp2Session;
  readonly streams: ClientHttp2Stream[] = [];
  answered = 0;
  receivedBytes = 0;

  constructor(port: number, localAddress: string) {
    this.session = connectHttp2(`http://127.0.0.1:${port}`, {
      settings: { initialWindowSize: 0 },
      createConnection: () => connect({ port, host: "127.0.0.1", localAddress }),
    });
    this.session.on("error", () => undefined);
  }

  request(): void {
    const stream = this.session.request({ ":path": "/" });
    this.streams.push(stream);
    stream.on("response", () => (this.answered += 1));
    stream.on("data", (bytes: Buffer) => (this.receivedBytes += bytes.length));
    stream.on("error", () => undefined);
  }
}

test("a client that reads none of its responses loses the largest, and another client none", async () => {
  const left = heldInput.bytes;
  heldInput.shareAmong(threads);
  try {
    await using harness = await Harness.start();
    const app = await harness.backend((_, response) => response.end(Buffer.alloc(responseBytes, "x")));
    harness.cluster("app", [app.port]);
    harness.table = tableOf(route(forwardTo("app")));
    // The connection to the server reads whole responses at once from the third one on.
    for (let count = 0; count < 3; count += 1) await harness.get("/");
    const honest = new Client(harness.port, "127.0.0.2");
    honest.request();
    await until(() => honest.answered === 1, "the honest client's response has begun");
    const greedy: Client[] = [];
    for (let count = 0; count < 8; count += 1) {
      const client = new Client(harness.port, "127.0.0.3");
      greedy.push(client);
      for (let stream = 1; stream <= 90; stream += 1) {
        client.request();
        await until(() => client.answered === stream, "the request is answered");
      }
      assert.ok(heldInput.bytes <= leastLimit, `${heldInput.bytes}`);
    }
    const isReset = ({ rstCode }: ClientHttp2Stream): boolean => rstCode === constants.NGHTTP2_ENHANCE_YOUR_CALM;
    await until(() => greedy.some(({ streams }) => streams.some(isReset)), "some responses end");
    honest.session.settings({ initialWindowSize: 65_535 });
    await until(() => honest.receivedBytes === responseBytes, "the honest client gets its response");
    for (const { session } of [honest, ...greedy]) session.destroy();
    await until(() => heldInput.bytes === left, "nothing is left");
  } finally {
    heldInput.shareAmong(1);
  }
});

import { connectTcp, type ByteStream } from "../../net/index.ts";
import { errorCodeName, FrameReader, FrameWriter, hpackEncode } from "../../wire/http2/index.ts";

export type Attack = (writer: FrameWriter, id: number) => void;

/** The requests of one kind of server. */
export interface AttackingRequests {
  /** A whole request that takes the server some time. */
  readonly whole: Attack;
  /** The head of a request whose body follows. */
  readonly unfinished: Buffer;
  /**
   * The head of a request that declares a body of one byte. Undefined if the server does not compare the declared
   * length.
   */
  readonly declared?: Buffer;
  /** A head with fields that no request may have. */
  readonly malformed: Buffer;
}

const maxFrameBytes = 16_384;
const request = (method: string, more: readonly string[] = []): Buffer =>
  hpackEncode([":method", method, ":scheme", "http", ":path", "/flood", ":authority", "a", ...more]);
const get = request("GET");
const httpRequests: AttackingRequests = {
  whole: (writer, id) => writer.headers(id, get, true, maxFrameBytes),
  unfinished: request("POST"),
  declared: request("POST", ["content-length", "1"]),
  malformed: request("GET", ["connection", "close"]),
};
const badTrailers = hpackEncode([":path", "/late"]);
const body = Buffer.from("xx");
const largestIncrement = 2 ** 31 - 1;
const cancel = 8;
const streamsPerTurn = 50;

/** The ways in which a client makes a server drop streams that it has started to serve. */
export function streamAttacks(requests: AttackingRequests = httpRequests): ReadonlyMap<string, Attack> {
  const { whole, declared, malformed } = requests;
  const attacks = new Map<string, Attack>([
    [
      "streams that are reset at once",
      (writer, id) => {
        whole(writer, id);
        writer.rstStream(id, cancel);
      },
    ],
    [
      "a WINDOW_UPDATE above the largest window",
      (writer, id) => {
        whole(writer, id);
        writer.windowUpdate(id, largestIncrement);
      },
    ],
    [
      "DATA after the end",
      (writer, id) => {
        whole(writer, id);
        writer.data(id, body, 0, 1, false);
      },
    ],
    ["heads without a request", (writer, id) => writer.headers(id, malformed, true, maxFrameBytes)],
  ]);
  if (declared === undefined) return attacks;
  attacks.set("DATA beyond content-length", (writer, id) => {
    writer.headers(id, declared, false, maxFrameBytes);
    writer.data(id, body, 0, 2, false);
  });
  attacks.set("invalid trailers", (writer, id) => {
    writer.headers(id, declared, false, maxFrameBytes);
    writer.data(id, body, 0, 1, false);
    writer.headers(id, badTrailers, true, maxFrameBytes);
  });
  return attacks;
}

/** Opens more streams than the server allows, and ends none of them. */
export function streamsAboveLimit({ unfinished }: AttackingRequests = httpRequests): Attack {
  return (writer, id) => writer.headers(id, unfinished, false, maxFrameBytes);
}

/** A client that attacks over a real socket: it opens streams as fast as the server reads them. */
export class Http2Flooder {
  readonly #attack: Attack;
  readonly #streamsPerConnection: number;
  readonly #writer = new FrameWriter();
  #nextId = 1;
  streams = 0;
  /** For each connection, whether it ended with a GOAWAY of the server or without one. */
  readonly endings: string[] = [];

  /** Each connection opens up to `streamsPerConnection` streams, and then waits until the server ends it. */
  constructor(attack: Attack, streamsPerConnection = Infinity) {
    this.#attack = attack;
    this.#streamsPerConnection = streamsPerConnection;
  }

  /** Runs one connection until the server ends it, or the signal is aborted. */
  async run(port: number, signal: AbortSignal): Promise<void> {
    const stream = await connectTcp({ address: "127.0.0.1", port, timeoutMs: 5000 });
    const { promise, resolve } = Promise.withResolvers<void>();
    const ending = { code: "", isClosed: false };
    const reader = this.#readerOf(ending);
    stream.setHandler({
      data: (chunk) => {
        if (ending.code === "") reader.push(chunk);
      },
      end: () => stream.destroy(),
      drain: () => undefined,
      close: () => {
        ending.isClosed = true;
        resolve();
      },
    });
    stream.resume();
    this.#writer.preface();
    this.#writer.settings([]);
    this.#nextId = 1;
    while (!ending.isClosed && ending.code === "" && !signal.aborted) {
      if (stream.bufferedBytes === 0 && this.#nextId < 2 * this.#streamsPerConnection) this.#flood(stream);
      await new Promise((next) => setImmediate(next));
    }
    stream.destroy();
    await promise;
    this.endings.push(ending.code);
  }

  #flood(stream: ByteStream): void {
    for (let count = 0; count < streamsPerTurn; count += 1) {
      this.#attack(this.#writer, this.#nextId);
      this.#nextId += 2;
      this.streams += 1;
    }
    const bytes = Buffer.from(this.#writer.view());
    this.#writer.reuse();
    stream.write(bytes);
  }

  #readerOf(ending: { code: string }): FrameReader {
    return new FrameReader(
      {
        data() {},
        padding() {},
        headers() {},
        rstStream() {},
        settings() {},
        settingsAck() {},
        ping() {},
        pingAck() {},
        goaway: (_lastStreamId, code) => (ending.code = errorCodeName(code)),
        windowUpdate() {},
      },
      { maxFrameSize: 1 << 20, expectPreface: false },
    );
  }
}

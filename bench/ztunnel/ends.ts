// The server behind the ztunnel and the client in front of it, each in its own process.
import { connectTcp, listenTcp, type ByteStream } from "../../src/net/index.ts";

export interface Work {
  readonly kind: "pingPong" | "up" | "down" | "connect" | "hold";
  readonly connections: number;
  /** The size of a message, or of a block of bulk data, in bytes. */
  readonly bytes: number;
  readonly address: string;
}

export type Order =
  | { readonly order: "open"; readonly work: Work }
  | { readonly order: "go"; readonly sliceMs: number }
  | { readonly order: "close" };

/** The result of a slice. `count` is the number of round trips, megabytes (2^20 bytes) or connections. */
export interface Answer {
  readonly count: number;
  readonly p99Ms: number;
  readonly error?: string;
}

/** The ports of one server. Several servers share an address. */
interface Ports {
  readonly echo: number;
  readonly sink: number;
  readonly source: number;
}

/** Returns the ports of the server with this number. The client with the same number connects to them. */
const portsOf = (place: number): Ports => ({ echo: 8080 + place, sink: 8180 + place, source: 8280 + place });
const connectTimeoutMs = 20_000;
const blockBytes = 65_536;
export const megabyte = 1_048_576;
/** The minimum work of a slice. Otherwise, a slice on a busy machine would measure only its own start. */
const leastWork = { roundTrips: 500, bytes: 48 * megabyte, connections: 100 };

/** Runs the server. It answers each message of the bench with the number of bytes that its sink has received. */
export async function runServer(place: number): Promise<void> {
  const ports = portsOf(place);
  process.on("disconnect", () => process.exit());
  let sunkBytes = 0;
  process.on("message", () => process.send?.(sunkBytes));
  const accept = async (port: number, serve: (stream: ByteStream) => void): Promise<void> =>
    void (await listenTcp({ address: "0.0.0.0", port }, serve));
  await accept(ports.echo, (stream) => {
    stream.setHandler({
      data: (chunk) => {
        if (!stream.write(chunk)) stream.pause();
      },
      end: () => stream.end(),
      drain: () => stream.resume(),
      close() {},
    });
    stream.resume();
  });
  await accept(ports.sink, (stream) => {
    const data = (chunk: Buffer): void => void (sunkBytes += chunk.length);
    stream.setHandler({ data, end: () => stream.end(), drain() {}, close() {} });
    stream.resume();
  });
  const block = Buffer.alloc(blockBytes, "x");
  await accept(ports.source, (stream) => {
    const open = { yes: true };
    const pour = (): void => {
      while (open.yes && stream.write(block));
    };
    stream.setHandler({
      // The client tells the server when to send.
      data: pour,
      end: () => stream.destroy(),
      drain: pour,
      close: () => (open.yes = false),
    });
    stream.resume();
  });
  process.send?.("listening");
}

/** Open connections, which send and receive during {@link run}. */
interface Session {
  run(sliceMs: number): Promise<Answer>;
  close(): void;
}

export function runLoad(place: number): void {
  const ports = portsOf(place);
  let session: Session | undefined;
  const perform = async (order: Order): Promise<Answer> => {
    if (order.order === "open") session = await open(order.work, ports);
    else if (order.order === "go") return (await session?.run(order.sliceMs)) ?? nothing;
    else session?.close();
    return nothing;
  };
  process.on("disconnect", () => process.exit());
  process.on("message", (order: Order) => {
    perform(order).then(
      (answer) => process.send?.(answer),
      (error: unknown) => process.send?.({ ...nothing, error: String(error) }),
    );
  });
}

const nothing: Answer = { count: 0, p99Ms: 0 };

async function open(work: Work, ports: Ports): Promise<Session> {
  if (work.kind === "connect") return { run: (sliceMs) => openAndClose(work, ports, sliceMs), close() {} };
  const port = { pingPong: ports.echo, hold: ports.echo, up: ports.sink, down: ports.source }[work.kind];
  const lines: Line[] = [];
  const more = async (): Promise<void> => {
    while (lines.length < work.connections) {
      const place = lines.push(undefined as unknown as Line) - 1;
      lines[place] = new Line(await dial(work.address, port));
    }
  };
  await Promise.all(Array.from({ length: 32 }, more));
  // A tunnel is open as soon as a byte has come back.
  if (port === ports.echo) await Promise.all(lines.map(async (line) => await line.trip(Buffer.alloc(1))));
  const run = { pingPong, up, down, hold: () => Promise.resolve(nothing) }[work.kind];
  return {
    run: (sliceMs) => run(work, lines, sliceMs),
    close: () => {
      for (const line of lines) line.stream.destroy();
    },
  };
}

async function dial(address: string, port: number): Promise<ByteStream> {
  return await connectTcp({ address, port, timeoutMs: connectTimeoutMs });
}

class Line {
  readonly stream: ByteStream;
  received = 0;
  #awaited = Infinity;
  #wake: (() => void) | undefined;

  constructor(stream: ByteStream) {
    this.stream = stream;
    stream.setHandler({
      data: (chunk) => {
        this.received += chunk.length;
        if (this.received >= this.#awaited) this.#woken();
      },
      end: () => stream.destroy(),
      drain: () => this.#woken(),
      close: (error) => {
        if (error !== undefined && this.#wake !== undefined) throw error;
        this.#woken();
      },
    });
    stream.resume();
  }

  async trip(message: Buffer): Promise<void> {
    this.#awaited = this.received + message.length;
    this.stream.write(message);
    await this.#sleep();
    this.#awaited = Infinity;
  }

  async room(): Promise<void> {
    await this.#sleep();
  }

  async #sleep(): Promise<void> {
    await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  #woken(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

function quantile(latencies: number[], share: number): number {
  latencies.sort((left, right) => left - right);
  return latencies[Math.floor(latencies.length * share)] ?? 0;
}

async function pingPong(work: Work, lines: readonly Line[], sliceMs: number): Promise<Answer> {
  const message = Buffer.alloc(work.bytes, "x");
  const latencies: number[] = [];
  const untilMs = performance.now() + sliceMs;
  await Promise.all(
    lines.map(async (line) => {
      for (let nowMs = performance.now(); nowMs < untilMs || latencies.length < leastWork.roundTrips;) {
        await line.trip(message);
        const afterMs = performance.now();
        latencies.push(afterMs - nowMs);
        nowMs = afterMs;
      }
    }),
  );
  return { count: latencies.length, p99Ms: quantile(latencies, 0.99) };
}

async function up(work: Work, lines: readonly Line[], sliceMs: number): Promise<Answer> {
  const block = Buffer.alloc(work.bytes, "x");
  const untilMs = performance.now() + sliceMs;
  let bytes = 0;
  await Promise.all(
    lines.map(async (line) => {
      while (performance.now() < untilMs || bytes < leastWork.bytes) {
        bytes += block.length;
        if (!line.stream.write(block)) await line.room();
      }
    }),
  );
  return { count: bytes / megabyte, p99Ms: 0 };
}

async function down(_work: Work, lines: readonly Line[], sliceMs: number): Promise<Answer> {
  for (const { stream } of lines) stream.write(Buffer.alloc(1));
  const sum = (): number => lines.reduce((total, line) => total + line.received, 0);
  const untilMs = performance.now() + sliceMs;
  const before = sum();
  while (performance.now() < untilMs || sum() - before < leastWork.bytes)
    await new Promise((resolve) => setTimeout(resolve, 5));
  return { count: (sum() - before) / megabyte, p99Ms: 0 };
}

/** Connects, sends a message, reads the echo, and closes. */
async function exchange(address: string, port: number, message: Buffer): Promise<void> {
  const line = new Line(await dial(address, port));
  await line.trip(message);
  line.stream.end();
  await line.room();
}

async function openAndClose(work: Work, { echo }: Ports, sliceMs: number): Promise<Answer> {
  const message = Buffer.alloc(work.bytes, "x");
  const latencies: number[] = [];
  const untilMs = performance.now() + sliceMs;
  const one = async (): Promise<void> => {
    for (let nowMs = performance.now(); nowMs < untilMs || latencies.length < leastWork.connections;) {
      await exchange(work.address, echo, message);
      const afterMs = performance.now();
      latencies.push(afterMs - nowMs);
      nowMs = afterMs;
    }
  };
  await Promise.all(Array.from({ length: work.connections }, one));
  return { count: latencies.length, p99Ms: quantile(latencies, 0.99) };
}

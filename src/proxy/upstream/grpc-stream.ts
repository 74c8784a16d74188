import { transientError } from "../../base/index.ts";
import { JoinedBytes } from "../../base/joined-bytes/index.ts";
import type { BodyFraming, MessageHead } from "../../wire/http1/index.ts";
import { grpcFrame, grpcPrefix, grpcPrefixBytes, judgedStatus } from "../terms/grpc-call.ts";
import { headText } from "../terms/header-text.ts";
import type { Cluster, Endpoint } from "./cluster.ts";
import { atEndpoint, OwnRequest } from "./cluster-call.ts";
import type { UpstreamChannel } from "./upstream-channel.ts";

export interface GrpcStreamOptions {
  readonly authority: string;
  /** The path of the method: `/package.Service/Method`. */
  readonly path: string;
  /** The maximum length of a message of the service, in bytes. A longer one ends the stream. */
  readonly maxMessageBytes: number;
  /** Called with each message of the service. An exception ends the stream. */
  readonly onMessage: (message: Buffer) => void;
  /** Makes the error for a service that refuses or ends the stream, or that does not speak gRPC as expected. */
  readonly failed: (message: string) => Error;
}

/**
 * Runs a gRPC stream that the proxy itself opens to a cluster, over the shared connections. Both sides send messages
 * until the service ends the stream or the signal aborts. `begin` gets the function that sends a message.
 */
export async function runGrpcStream(
  cluster: Cluster,
  options: GrpcStreamOptions,
  begin: (send: (message: Uint8Array) => void) => void,
  signal: AbortSignal,
): Promise<void> {
  await atEndpoint(
    cluster,
    async (endpoint) => await new GrpcStream(cluster.name, endpoint, options).run(begin, signal),
  );
}

class GrpcStream extends OwnRequest<void> {
  readonly #options: GrpcStreamOptions;
  #begin: (send: (message: Uint8Array) => void) => void = () => undefined;
  /** The parts of a message that has not arrived completely. */
  readonly #parts = new JoinedBytes();
  /** How many bytes must arrive before the next step of reading. */
  #needed = grpcPrefixBytes;

  constructor(cluster: string, endpoint: Endpoint, options: GrpcStreamOptions) {
    super(endpoint, { name: `${options.path} of cluster ${cluster}`, protocol: "http2", toHead: false });
    this.#options = options;
  }

  async run(begin: (send: (message: Uint8Array) => void) => void, signal: AbortSignal): Promise<void> {
    this.#begin = begin;
    try {
      await this.settled(signal);
    } finally {
      this.#parts.take();
    }
  }

  protected send(channel: UpstreamChannel): void {
    const { path, authority } = this.#options;
    const head = Buffer.from(
      headText(`POST ${path} HTTP/1.1\r\nhost: ${authority}\r\ncontent-type: application/grpc\r\nte: trailers\r\n\r\n`),
      "latin1",
    );
    channel.send(head, head.length, false);
    this.#begin((message) => {
      if (!this.isOver) this.channel?.write(grpcFrame(message), false);
    });
  }

  response(head: MessageHead, _framing: BodyFraming, from: number, to: number, last: boolean): void {
    this.endpoint.report({ kind: "answer", status: judgedStatus(head.status, head.get("grpc-status")) });
    if (head.status !== 200) {
      this.giveUp(this.#failed(`answered HTTP ${head.status}`));
      return;
    }
    if (!last) {
      this.responseBody(head.bytes, from, to, false);
      return;
    }
    const fields: string[] = [];
    for (let field = 0; field < head.fieldCount; field += 1) fields.push(head.name(field), head.value(field));
    this.responseTrailers(fields);
  }

  responseBody(bytes: Buffer, from: number, to: number, last: boolean): void {
    try {
      this.#read(bytes.subarray(from, to));
    } catch (error) {
      this.giveUp(error);
      return;
    }
    if (last) this.fail(this.#failed("ended without a status"));
  }

  responseTrailers(fields: readonly string[]): void {
    const at = fields.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === "grpc-status");
    const status = at < 0 ? undefined : fields[at + 1];
    if (status !== "0") {
      this.fail(this.#failed(`ended with gRPC status ${status ?? "nothing"}`));
      return;
    }
    this.succeed();
  }

  #read(bytes: Buffer): void {
    if (this.isOver) return;
    // Copy the bytes, because they are valid only during this call.
    this.#parts.add(bytes);
    if (this.#parts.length < this.#needed) return;
    let rest = this.#parts.take();
    this.#needed = grpcPrefixBytes;
    while (rest.length >= grpcPrefixBytes && !this.isOver) {
      this.#needed = grpcPrefixBytes + this.#lengthOf(rest);
      if (rest.length < this.#needed) break;
      const message = rest.subarray(grpcPrefixBytes, this.#needed);
      rest = rest.subarray(this.#needed);
      this.#needed = grpcPrefixBytes;
      this.#options.onMessage(message);
    }
    this.#parts.add(rest);
  }

  #lengthOf(framed: Buffer): number {
    const { maxMessageBytes } = this.#options;
    const { isPlain, length } = grpcPrefix(framed);
    if (!isPlain) throw this.#failed("sent a compressed message");
    if (length > maxMessageBytes)
      throw transientError(
        "too-long",
        `${this.name} sent a message of ${length} bytes; at most ${maxMessageBytes} are read`,
      );
    return length;
  }

  #failed(problem: string): Error {
    return this.#options.failed(`${this.name} ${problem}`);
  }
}

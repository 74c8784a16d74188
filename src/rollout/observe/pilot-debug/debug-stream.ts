import { constants, type ClientHttp2Session, type ClientHttp2Stream, type IncomingHttpHeaders } from "node:http2";
import { afterRunning, truncated, type Clock, type SerinError } from "../../../base/index.ts";
import { JoinedBytes } from "../../../base/joined-bytes/index.ts";
import { discoveryMethods } from "../../../wire/xds/index.ts";
import { connectionError } from "../http-get.ts";
import { answered, unreachable } from "./debug-faults.ts";
import type { AnswerLimits } from "./debug-limits.ts";

const bodyLimitBytes = 32 * 1024 * 1024;
const messageCharacters = 240;
const frameHeadBytes = 5;

const grpcStatus = { ok: 0, permissionDenied: 7, unauthenticated: 16 } as const;

interface Question {
  readonly resolve: (message: Buffer) => void;
  readonly reject: (error: SerinError) => void;
  readonly heard: () => void;
  readonly end: () => void;
}

/** One stream of discovery. It serves one request at a time. */
export class DebugStream {
  readonly token: string;
  readonly #stream: ClientHttp2Stream;
  readonly #where: string;
  readonly #clock: Clock;
  readonly #received = new JoinedBytes();
  #question: Question | undefined;
  #isOpen = true;
  #isUsed = false;
  #isSilent = false;
  #hasHeaders = false;

  constructor(session: ClientHttp2Session, where: string, token: string, clock: Clock) {
    this.token = token;
    this.#where = where;
    this.#clock = clock;
    this.#stream = session.request({
      ":method": "POST",
      ":path": discoveryMethods.stateOfTheWorldAds,
      "content-type": "application/grpc",
      te: "trailers",
      authorization: `Bearer ${token}`,
    });
    const examine = (headers: IncomingHttpHeaders): void => {
      this.#hasHeaders = true;
      const fault = faultOf(where, headers);
      if (fault !== undefined) this.end(fault);
    };
    this.#stream.on("response", examine);
    this.#stream.on("trailers", examine);
    this.#stream.on("data", (chunk: Buffer) => this.#read(chunk));
    this.#stream.on("error", (error: NodeJS.ErrnoException) => this.end(connectionError(where, error)));
    const ended = (): void => this.end(unreachable(`${where} closed the connection in the middle of its answer`));
    this.#stream.on("end", ended);
    this.#stream.on("close", ended);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isUsed(): boolean {
    return this.#isUsed;
  }

  /** Whether a request has exceeded a time limit. */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** Whether the server has begun to answer on this stream, even with an error. */
  get hasHeaders(): boolean {
    return this.#hasHeaders;
  }

  /** Sends the message, and returns the server's next message. Call it only when no request is pending. */
  async ask(message: Uint8Array, { silenceMs, answerMs }: AnswerLimits): Promise<Buffer> {
    const where = this.#where;
    const late = (text: string) => (): void => {
      this.#isSilent = true;
      this.end(unreachable(text));
    };
    return await new Promise((resolve, reject) => {
      if (!this.#isOpen) return reject(unreachable(`${where} has ended the stream`));
      const begin = (): Disposable =>
        afterRunning(silenceMs, late(`${where} did not answer in ${silenceMs} ms`), this.#clock);
      let silence = begin();
      const inTime = late(`${where} did not finish its answer in ${answerMs} ms`);
      const deadline = afterRunning(answerMs, inTime, this.#clock);
      this.#question = {
        resolve,
        reject,
        heard: () => {
          silence[Symbol.dispose]();
          silence = begin();
        },
        end: () => {
          silence[Symbol.dispose]();
          deadline[Symbol.dispose]();
        },
      };
      this.#stream.write(framed(message));
    });
  }

  /** Cancels the stream. A pending request fails with this error. */
  end(error: SerinError): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#settle()?.reject(error);
    this.#received.take();
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  #settle(): Question | undefined {
    const question = this.#question;
    this.#question = undefined;
    question?.end();
    return question;
  }

  #read(chunk: Buffer): void {
    if (!this.#isOpen) return;
    this.#question?.heard();
    this.#received.add(chunk);
    const bytes = this.#received.view();
    if (bytes.length > bodyLimitBytes)
      return this.end(unreachable(`${this.#where} sent more than ${bodyLimitBytes} bytes`));
    const end = bytes.length < frameHeadBytes ? Number.POSITIVE_INFINITY : frameHeadBytes + bytes.readUInt32BE(1);
    if (bytes.length < end) return;
    // Each request gets exactly one message. Another one belongs to no request.
    if (this.#question === undefined || bytes.length > end)
      return this.end(unreachable(`${this.#where} sent more than the answer`));
    const answer = this.#received.take().subarray(frameHeadBytes, end);
    this.#isUsed = true;
    this.#settle()?.resolve(answer);
  }
}

function framed(message: Uint8Array): Buffer {
  const head = Buffer.alloc(frameHeadBytes);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

function faultOf(where: string, headers: IncomingHttpHeaders): SerinError | undefined {
  const http = headers[":status"];
  if (http !== undefined && Number(http) !== 200) return answered(where, String(http));
  const status = headers["grpc-status"];
  if (status === undefined || Number(status) === grpcStatus.ok) return undefined;
  const text = headers["grpc-message"];
  const message = decoded(typeof text === "string" ? text : "");
  if (Number(status) === grpcStatus.unauthenticated) return answered(where, "401", message);
  if (Number(status) === grpcStatus.permissionDenied) return answered(where, "403", message);
  return unreachable(`${where} answered with gRPC status ${String(status)}: ${message}`);
}

function decoded(message: string): string {
  try {
    return truncated(decodeURIComponent(message), messageCharacters);
  } catch {
    return truncated(message, messageCharacters);
  }
}

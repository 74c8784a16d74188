import type { ByteStream } from "../../../net/index.ts";
import { errorCode, hpackEncode, type FrameWriter, type Http2Session } from "../../../wire/http2/index.ts";
import { acceptedEncodings } from "./decompress.ts";
import type { FrameOutput, OutputOwner } from "./frame-output.ts";
import { prefixBytes, type CallOutput, type GrpcCall } from "./grpc-call.ts";
import { grpcLimits } from "./grpc-limits.ts";
import { grpcStatus, statusMessage } from "./grpc-status.ts";

const contentType = "application/grpc+proto";
const encodingFields = ["grpc-accept-encoding", acceptedEncodings];
const responseHead = hpackEncode([":status", "200", "content-type", contentType, ...encodingFields]);

export interface CallSenderOptions {
  readonly session: Http2Session<GrpcCall>;
  readonly stream: ByteStream;
  /** All connections of the server share it. */
  readonly output: FrameOutput;
  /** Called if more than the limit waits for a client that does not read. It must end the connection. */
  readonly unread: () => void;
}

export class CallSender implements CallOutput, OutputOwner {
  readonly #session: Http2Session<GrpcCall>;
  readonly #stream: ByteStream;
  readonly #output: FrameOutput;
  readonly #unread: () => void;
  readonly #prefix = Buffer.alloc(prefixBytes);
  /** Whether the last write did not finish at once. Over TLS, no write does. */
  #waitsForKernel = false;
  #isStopped = false;
  isBusy = false;

  constructor(options: CallSenderOptions) {
    this.#session = options.session;
    this.#stream = options.stream;
    this.#output = options.output;
    this.#unread = options.unread;
  }

  writer(): FrameWriter {
    return this.#output.claim(this);
  }

  sendMessage(call: GrpcCall, parts: readonly Buffer[], length: number): boolean {
    const session = this.#session;
    if (session.over) return false;
    if (!call.answered) session.sendBlock(call, responseHead, false);
    const total = length + prefixBytes;
    this.#prefix.writeUInt32BE(length, 1);
    if (call.pendingBytes > 0 || this.isBusy || total > session.room(call)) {
      call.enqueue(Buffer.from(this.#prefix), parts);
      return this.pump(call);
    }
    const writer = this.writer();
    writer.dataHead(call.id, total, false);
    writer.raw(this.#prefix);
    for (const part of parts) this.#output.part(part);
    this.#sentData(call, total);
    return !session.congested(call);
  }

  sendEnd(call: GrpcCall): void {
    if (call.pendingBytes > 0) return;
    const { status, message } = call.ending ?? { status: grpcStatus.ok, message: "" };
    const fields = ["grpc-status", String(status), ...(message === "" ? [] : ["grpc-message", statusMessage(message)])];
    const alone = call.answered
      ? fields
      : [":status", "200", "content-type", contentType, ...encodingFields, ...fields];
    this.sendLast(call, alone);
  }

  pump(call: GrpcCall): boolean {
    while (call.pendingBytes > 0) {
      const length = Math.min(call.pendingBytes, this.#session.reserve(call));
      if (length <= 0) return false;
      this.writer().dataHead(call.id, length, false);
      call.putPending(this.#output, length);
      this.#sentData(call, length);
    }
    return !this.#session.congested(call);
  }

  /**
   * Sends a header block that ends our side. If the client is still sending, it gets a reset, because nobody will read
   * its bytes.
   */
  sendLast(call: GrpcCall, fields: readonly string[]): void {
    this.#session.sendHeaders(call, fields, true);
    if (!call.remoteEnded) this.#session.reset(call, errorCode.noError);
    call.close();
  }

  /** Sends the frames of this turn. */
  flush(): void {
    if (this.#isStopped) return;
    if (!this.#output.writeTo(this.#stream, this, this.#waitsForKernel)) this.isBusy = true;
    this.#waitsForKernel = this.#stream.bufferedBytes > 0;
    const limit = grpcLimits.maxBufferedControlBytes + grpcLimits.outputHighWaterBytes;
    if (this.isBusy && this.#stream.bufferedBytes > limit) this.#unread();
  }

  drained(): void {
    this.isBusy = false;
    this.#session.wake();
  }

  stop(): void {
    this.#isStopped = true;
    this.#output.drop(this);
  }

  #sentData(call: GrpcCall, length: number): void {
    this.#session.spend(call, length);
    if (this.#output.length >= grpcLimits.outputHighWaterBytes) this.flush();
  }
}

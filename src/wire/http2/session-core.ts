import { errorCode, Http2ConnectionError, maxStreamId } from "./constants.ts";
import { FloodBudget } from "./flood-budget.ts";
import { ReceiveWindow } from "./receive-window.ts";
import { SendWindows } from "./send-windows.ts";
import type { SessionStream } from "./session-stream.ts";
import type { SessionLimits, SessionOptions, SessionPort } from "./session-types.ts";
import { StreamTable } from "./stream-table.ts";

/** The payload of the PING of a drain. The answer to it shows that the peer has seen the first GOAWAY. */
export const goawayPing = Buffer.from("goaway!!", "latin1");
/** Error codes for which the peer is to blame. */
const blamingCodes: ReadonlySet<number> = new Set([
  errorCode.protocolError,
  errorCode.flowControlError,
  errorCode.streamClosed,
  errorCode.frameSizeError,
  errorCode.compressionError,
]);

/** The state that both halves of a session share, of which one reads frames and the other one writes them. */
export class SessionCore<Stream extends SessionStream> {
  readonly port: SessionPort;
  readonly limits: SessionLimits;
  readonly server: boolean;
  readonly maxStreams: number;
  readonly budget: FloodBudget;
  readonly windows: SendWindows<Stream>;
  readonly received: ReceiveWindow;
  readonly streams: StreamTable<Stream>;
  readonly #streamCreditBytes: number;
  sawSettings = false;
  peerMaxStreams: number;
  peerDecoderShrunk = false;
  /** Whether the peer has acknowledged our SETTINGS, and thus knows how many streams it may open. */
  peerKnowsLimits = false;
  /** How many streams were refused before the peer knew the limit. */
  refusedEarly = 0;
  /** Whether the session has ended: it ignores input and writes no more frames. */
  over = false;
  openedInTurn = 0;
  nowMs: number;

  constructor(port: SessionPort, options: SessionOptions) {
    const { limits, nowMs, server } = options;
    const { streamWindowBytes, connectionWindowBytes, creditParts, maxQueuedBytes } = limits;
    this.port = port;
    this.limits = limits;
    this.server = server;
    this.maxStreams = options.maxStreams;
    this.budget = new FloodBudget(limits, options.streamsName, nowMs);
    this.windows = new SendWindows(limits.maxSentFrameBytes, (stream) => this.#wakeStream(stream));
    this.received = new ReceiveWindow(connectionWindowBytes, connectionWindowBytes / creditParts, maxQueuedBytes);
    this.streams = new StreamTable(server);
    this.#streamCreditBytes = streamWindowBytes / creditParts;
    this.peerMaxStreams = options.assumedStreams ?? Infinity;
    this.nowMs = nowMs;
  }

  /** Counts bytes of a stream as read, and gives their window back to the peer from time to time. */
  creditStream(stream: Stream, bytes: number): void {
    stream.uncredited += bytes;
    if (stream.uncredited < this.#streamCreditBytes || this.over || stream.remoteEnded) return;
    this.port.output().windowUpdate(stream.id, stream.uncredited);
    stream.receiveWindow += stream.uncredited;
    stream.uncredited = 0;
  }

  creditConnection(): void {
    if (this.over) return;
    const credit = this.received.takeCredit();
    if (credit > 0) this.port.output().windowUpdate(0, credit);
  }

  reset(streamId: number, code: number): void {
    if (this.over) return;
    this.port.output().rstStream(streamId, code);
    if (this.server && blamingCodes.has(code)) this.budget.broken();
  }

  /** Resets a stream that is still open, and tells it why. */
  resetFaulted(stream: Stream, code: number): void {
    if (this.streams.get(stream.id) !== stream) return;
    this.reset(stream.id, code);
    try {
      stream.broken(code);
    } catch (error) {
      this.faulted(error);
    }
  }

  /**
   * Reports an error of the code behind one stream, so that only this stream ends. Returns the code of its reset.
   * Throws errors that end the connection.
   */
  faulted(error: unknown): number {
    if (error instanceof Http2ConnectionError) throw error;
    this.port.faulted(error);
    return errorCode.internalError;
  }

  #wakeStream(stream: Stream): void {
    try {
      stream.writable();
    } catch (error) {
      this.resetFaulted(stream, this.faulted(error));
    }
  }

  /**
   * Refuses a stream above the limit. A client that does not know the limit yet may open as many streams above it as
   * the limit allows. Each further one counts as a wasted stream.
   */
  refuseAboveLimit(streamId: number): void {
    const { port, budget, maxStreams, peerKnowsLimits } = this;
    port.output().rstStream(streamId, errorCode.refusedStream);
    budget.opened();
    budget.idleFrame();
    if (!peerKnowsLimits) this.refusedEarly += 1;
    if (peerKnowsLimits || this.refusedEarly > maxStreams) budget.refused();
  }

  /**
   * The first step of a drain. A server sends a GOAWAY that still allows all streams, and a PING whose answer shows
   * that the peer has seen it.
   */
  drain(): void {
    if (this.streams.draining || this.over) return;
    this.streams.draining = true;
    if (this.server) {
      const output = this.port.output();
      output.goaway(maxStreamId, errorCode.noError);
      output.ping(goawayPing, false);
    } else this.finishIfDone();
  }

  /** The second step of a server's drain: a GOAWAY after which later streams are ignored. */
  refuseMore(): void {
    if (this.over || !this.streams.acceptNoMore()) return;
    this.port.output().goaway(this.streams.lastPeerId, errorCode.noError);
    this.finishIfDone();
  }

  finishIfDone(): void {
    if (this.over || !this.streams.done) return;
    if (!this.server) this.port.output().goaway(0, errorCode.noError);
    this.port.finished();
  }
}

import {
  defaultWindow,
  errorCode,
  errorCodeName,
  frameType,
  setting,
  type Http2ConnectionError,
} from "../constants.ts";
import { FrameReader, type FrameHandler } from "../frame-reader.ts";
import { FrameWriter } from "../frame-writer.ts";
import { hpackEncode } from "../hpack-encoder.ts";
import { Http2Session } from "../session.ts";
import { SessionStream } from "../session-stream.ts";
import type { SessionLimits, SessionPort } from "../session-types.ts";

/** Small limits, so that short inputs reach them. */
export const modelLimits: SessionLimits = {
  streamWindowBytes: 4096,
  connectionWindowBytes: 70_000,
  creditParts: 2,
  maxQueuedBytes: 8192,
  maxFrameBytes: 16_384,
  maxSentFrameBytes: 20_000,
  maxIdleFramesPerSecond: 200,
  wastedStreams: 50,
  wastedStreamsPerSecond: 1,
  streamsPerTurn: 3,
  pausePerWastedStreamMs: 1,
  prematureResetMs: 1000,
  answeredResetsAreFree: true,
  maxDroppedBytes: 64,
};
export const maxStreams = 8;

type PeerAction =
  | { readonly does: "headers"; readonly id: number; readonly block: Buffer; readonly end: boolean }
  | { readonly does: "data"; readonly id: number; readonly bytes: number; readonly end: boolean }
  | { readonly does: "reset"; readonly id: number; readonly code: number }
  | { readonly does: "window"; readonly id: number; readonly by: number }
  | { readonly does: "settings"; readonly values: readonly (readonly [number, number])[] }
  | { readonly does: "ping"; readonly opaque: Buffer; readonly ack: boolean }
  | { readonly does: "goaway"; readonly last: number; readonly code: number }
  | {
      readonly does: "frame";
      readonly type: number;
      readonly flags: number;
      readonly id: number;
      readonly payload: Buffer;
    }
  | { readonly does: "noise"; readonly bytes: Buffer };

/** What happens on the session's own side: its streams act, its port fills up, or time passes. */
type OwnAction =
  | { readonly does: "answer"; readonly id: number; readonly end: boolean }
  | { readonly does: "write"; readonly id: number; readonly bytes: number; readonly end: boolean }
  | { readonly does: "drop"; readonly id: number; readonly code: number }
  | { readonly does: "pause" | "resume"; readonly id: number }
  | { readonly does: "full" | "room" | "drain" | "refuse-more" | "open" }
  | { readonly does: "pass"; readonly ms: number };

export type Action = PeerAction | OwnAction;

const peerActions: readonly string[] = [
  "headers",
  "data",
  "reset",
  "window",
  "settings",
  "ping",
  "goaway",
  "frame",
  "noise",
] satisfies readonly PeerAction["does"][];

function isOfPeer(action: Action): action is PeerAction {
  return peerActions.includes(action.does);
}

export const requestBlock = hpackEncode([":method", "GET", ":scheme", "http", ":path", "/", ":authority", "a"]);
const answerFields = [":status", "200"];

/** A stream that holds back input while it is paused, and output while it must wait. */
class ModelStream extends SessionStream {
  readonly #session: Http2Session<ModelStream>;
  readonly #fault: (fault: string) => void;
  #isGone = false;
  #isPaused = false;
  #held = 0;
  #pending = 0;
  #endWanted = false;

  constructor(session: Http2Session<ModelStream>, id: number, fault: (fault: string) => void) {
    super(id);
    this.#session = session;
    this.#fault = fault;
  }

  receive(chunk: Buffer): number {
    this.#check("receive");
    if (this.#isPaused) {
      this.#held += chunk.length;
      this.#session.queuedBytesChanged(chunk.length);
    } else this.#session.consumed(this, chunk.length);
    this.#endIfBoth();
    return errorCode.noError;
  }

  receiveHeaders(fields: readonly string[], endStream: boolean): number {
    this.#check("receiveHeaders");
    if (!endStream || fields.some((text) => text.startsWith(":"))) return errorCode.protocolError;
    this.#endIfBoth();
    return errorCode.noError;
  }

  resetByPeer(): void {
    this.#check("resetByPeer");
    this.gone();
  }

  broken(): void {
    this.#check("broken");
    this.gone();
  }

  writable(): void {
    this.#check("writable");
    this.#send();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    const held = this.#held;
    this.#held = 0;
    this.#session.queuedBytesChanged(-held);
    this.#session.consumed(this, held);
  }

  write(bytes: number, end: boolean): void {
    if (this.#endWanted || this.sentEnd) return;
    this.#pending += bytes;
    this.#endWanted = end;
    this.#send();
  }

  drop(code: number): void {
    this.#session.reset(this, code);
    this.gone();
  }

  gone(): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#session.queuedBytesChanged(-this.#held);
    this.#held = 0;
    this.#session.ended(this);
  }

  #send(): void {
    if (this.#pending === 0 && !this.#endWanted) return;
    if (!this.answered) this.#session.sendHeaders(this, answerFields, false);
    const sent = this.#session.sendData(this, Buffer.alloc(this.#pending), 0, this.#endWanted);
    this.#pending -= sent;
    this.#endIfBoth();
  }

  #endIfBoth(): void {
    if (this.remoteEnded && this.sentEnd && this.#pending === 0) this.gone();
  }

  #check(event: string): void {
    if (this.#isGone) this.#fault(`stream ${this.id} was told ${event} after its end`);
  }
}

/**
 * A session, and a peer that plays actions against it. It records in {@link faults} which rules the session has broken.
 * The rules hold for any input: the output is HTTP/2 within the peer's windows, streams get no calls after their end,
 * nothing is thrown, and an ended session is silent.
 */
export class SessionModel implements SessionPort, FrameHandler {
  readonly faults: string[] = [];
  /** What the session has sent, as short texts. */
  readonly sentFrames: string[] = [];
  readonly session: Http2Session<ModelStream>;
  readonly #writer = new FrameWriter();
  readonly #input = new FrameWriter();
  readonly #reader: FrameReader;
  /** The send windows that the session has left, for each stream. */
  readonly #windows = new Map<number, number>();
  readonly isServer: boolean;
  #connectionWindow = defaultWindow;
  #initialWindow = defaultWindow;
  #isFull = false;
  #isOver = false;
  /** How long the session wants to wait. Undefined if it does not. */
  #deferredMs: number | undefined;
  #openedInTurn = 0;
  /** How many further turns the session has asked for. */
  turns = 0;
  waitedMs = 0;
  /** Whether the peer has sent bytes that are no whole frame, so that its own state is undefined. */
  #isLost = false;
  #nowMs = 0;
  /** The last stream that was opened. */
  lastId = -1;
  readonly #pieceBytes: number;
  failure: Http2ConnectionError | undefined;

  constructor(server = true, pieceBytes = Infinity) {
    this.isServer = server;
    this.#pieceBytes = pieceBytes;
    this.session = new Http2Session(this, {
      server,
      limits: modelLimits,
      streamsName: "streams",
      nowMs: 0,
      maxStreams,
      pingIntervalMs: 10_000,
      pingTimeoutMs: 20_000,
      pingsWhenIdle: true,
      maxReadHeaderBytes: 8192,
    });
    this.#reader = new FrameReader(this, { maxFrameSize: 20_000, expectPreface: !server });
    this.session.start();
    if (server) this.#input.preface();
    this.#input.settings([]);
    this.#deliver();
  }

  /** Plays actions whose frames arrive together. */
  play(...actions: readonly Action[]): void {
    for (const action of actions) this.#act(action);
    this.#deliver();
  }

  #act(action: Action): void {
    if (isOfPeer(action)) this.#sendAsPeer(action);
    else this.#actOnOwnSide(action);
  }

  #sendAsPeer(action: PeerAction): void {
    switch (action.does) {
      case "headers":
        this.#input.headers(action.id, action.block, action.end, 16_384);
        break;
      case "data":
        this.#input.data(action.id, Buffer.alloc(action.bytes), 0, action.bytes, action.end);
        break;
      case "reset":
        this.#input.rstStream(action.id, action.code);
        break;
      case "window":
        this.#grant(action.id, action.by);
        this.#input.windowUpdate(action.id, action.by);
        break;
      case "settings":
        this.#change(action.values);
        this.#input.settings(action.values);
        break;
      case "ping":
        this.#input.ping(action.opaque, action.ack);
        break;
      case "goaway":
        this.#input.goaway(action.last, action.code);
        break;
      case "frame":
        if (action.type === frameType.settings || action.type === frameType.windowUpdate) this.#isLost = true;
        this.#input.frame(action.type, action.flags, action.id, action.payload);
        break;
      case "noise":
        this.#isLost = true;
        this.#input.raw(action.bytes);
        break;
    }
  }

  #actOnOwnSide(action: OwnAction): void {
    const stream = "id" in action ? [...this.session.streams].find(({ id }) => id === action.id) : undefined;
    switch (action.does) {
      case "answer":
        if (stream?.answered === false) this.session.sendHeaders(stream, answerFields, action.end);
        if (stream?.sentEnd === true && stream.remoteEnded) stream.gone();
        break;
      case "write":
        stream?.write(action.bytes, action.end);
        break;
      case "drop":
        stream?.drop(action.code);
        break;
      case "pause":
        stream?.pause();
        break;
      case "resume":
        stream?.resume();
        break;
      case "full":
        this.#isFull = true;
        break;
      case "room":
        this.#isFull = false;
        this.session.wake();
        break;
      case "drain":
        this.session.drain();
        break;
      case "refuse-more":
        this.session.refuseMore();
        break;
      case "open":
        this.#open();
        break;
      case "pass":
        this.#nowMs += action.ms;
        this.session.sweep(this.#nowMs);
        break;
    }
  }

  finish(): readonly string[] {
    if (this.session.over && this.session.activeStreams > 0) this.faults.push("streams live on after the end");
    if (this.failure?.code === errorCode.internalError) this.faults.push(`something threw: ${this.failure.message}`);
    return this.faults;
  }

  #open(): void {
    if (this.isServer || !this.session.takesStream) return;
    const stream = this.#begin(this.session.claimId());
    this.session.sendBlock(stream, requestBlock, false);
  }

  #begin(id: number): ModelStream {
    const stream = new ModelStream(this.session, id, (fault) => void this.faults.push(fault));
    this.session.adopt(stream);
    this.lastId = id;
    this.#windows.set(id, this.#initialWindow);
    if (this.session.activeStreams > maxStreams) this.faults.push("more streams than are allowed");
    return stream;
  }

  #deliver(): void {
    if (this.#input.length > 0) {
      const bytes = Buffer.from(this.#input.view());
      this.#input.reuse();
      for (let at = 0; at < bytes.length; at += this.#pieceBytes) {
        this.#openedInTurn = 0;
        this.session.receive(bytes.subarray(at, Math.min(bytes.length, at + this.#pieceBytes)), this.#nowMs);
        this.#finishTurns();
      }
    }
    const written = Buffer.from(this.#writer.view());
    this.#writer.reuse();
    try {
      this.#reader.push(written);
    } catch (error) {
      this.faults.push(`what was said is no HTTP/2: ${error instanceof Error ? error.message : String(error)}`);
    }
    if (this.session.over) this.#isOver = true;
  }

  #finishTurns(): void {
    while (this.#deferredMs !== undefined) {
      this.#nowMs += this.#deferredMs;
      this.waitedMs += this.#deferredMs;
      this.#deferredMs = undefined;
      this.#openedInTurn = 0;
      this.turns += 1;
      this.session.proceed(this.#nowMs);
    }
    if (this.session.isDeferred) this.faults.push("input waits, and nobody was told");
  }

  #grant(id: number, by: number): void {
    if (id === 0) this.#connectionWindow += by;
    else {
      const window = this.#windows.get(id);
      if (window !== undefined) this.#windows.set(id, window + by);
    }
  }

  #change(values: readonly (readonly [number, number])[]): void {
    for (const [id, value] of values) {
      if (id !== setting.initialWindowSize) continue;
      for (const [stream, window] of this.#windows) this.#windows.set(stream, window + value - this.#initialWindow);
      this.#initialWindow = value;
    }
  }

  // ---- SessionPort

  output(): FrameWriter {
    if (this.#isOver) this.faults.push("a frame after the end");
    return this.#writer;
  }

  isFull(): boolean {
    return this.#isFull;
  }

  sendsOn(): void {
    if (!this.#isOver) this.faults.push("a peer that sends after an end that was not");
  }

  deferred(waitMs: number): void {
    this.#deferredMs = waitMs;
  }

  opened(streamId: number, fields: readonly string[], endStream: boolean): void {
    this.#openedInTurn += 1;
    if (this.#openedInTurn > modelLimits.streamsPerTurn) this.faults.push("more streams than one turn may open");
    if (fields[0] !== ":method") {
      this.session.refuse(streamId, errorCode.protocolError);
      return;
    }
    this.#begin(streamId).remoteEnded = endStream;
  }

  streamEnded(): void {}
  settingsChanged(): void {}
  peerLeaves(): void {}

  finished(): void {
    this.session.close();
  }

  failed(error: Http2ConnectionError): void {
    this.failure = error;
    for (const stream of this.session.streams) stream.gone();
  }

  faulted(error: unknown): void {
    throw error;
  }

  unanswered(): void {
    this.session.close();
    for (const stream of this.session.streams) stream.gone();
  }

  // ---- FrameHandler, for the session's output

  data(streamId: number, chunk: Buffer, endStream: boolean): void {
    this.sentFrames.push(`data ${streamId} ${chunk.length}${endStream ? " end" : ""}`);
    const window = (this.#windows.get(streamId) ?? 0) - chunk.length;
    this.#windows.set(streamId, window);
    this.#connectionWindow -= chunk.length;
    if (chunk.length > 0 && !this.#isLost && (window < 0 || this.#connectionWindow < 0))
      this.faults.push(`DATA beyond the window of stream ${streamId}`);
  }

  padding(): void {}

  headers(streamId: number, fields: string[], endStream: boolean): void {
    this.sentFrames.push(`headers ${streamId} ${fields.join(" ")}${endStream ? " end" : ""}`);
  }

  rstStream(streamId: number, code: number): void {
    this.sentFrames.push(`rst ${streamId} ${errorCodeName(code)}`);
  }

  settings(): void {}
  settingsAck(): void {}

  ping(opaque: Buffer): void {
    this.sentFrames.push(`ping ${opaque.toString("latin1")}`);
  }

  pingAck(): void {}

  goaway(lastStreamId: number, code: number, debug: string): void {
    this.sentFrames.push(`goaway ${lastStreamId} ${errorCodeName(code)}${debug === "" ? "" : `: ${debug}`}`);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.sentFrames.push(`window ${streamId} ${increment}`);
  }
}

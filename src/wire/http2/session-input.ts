import { errorCode, setting } from "./constants.ts";
import type { FrameHandler } from "./frame-reader.ts";
import { goawayPing, type SessionCore } from "./session-core.ts";
import type { SessionStream } from "./session-stream.ts";

const defaultHeaderTableBytes = 4096;

/** Handles the peer's frames. Throws an error if the peer breaks the protocol. */
export class SessionInput<Stream extends SessionStream> implements FrameHandler {
  readonly #core: SessionCore<Stream>;

  constructor(core: SessionCore<Stream>) {
    this.#core = core;
  }

  /**
   * Charges padding, and small DATA frames for closed streams, which were probably not on their way when the stream
   * closed.
   */
  smallData(streamId: number, isPadded: boolean): void {
    const { streams, budget } = this.#core;
    if (isPadded || streams.get(streamId) === undefined) budget.idleFrame();
  }

  data(streamId: number, chunk: Buffer, endStream: boolean): void {
    const { received, streams, budget } = this.#core;
    const mayCredit = received.received(chunk.length);
    const stream = streams.get(streamId);
    if (stream === undefined) streams.refuseUnopened(streamId, "DATA");
    else {
      if (chunk.length > 0) budget.earn(chunk.length);
      else if (!endStream) budget.idleFrame();
      const code = this.#deliver(stream, chunk, endStream);
      if (code !== errorCode.noError) this.#settle(stream, code);
    }
    if (mayCredit) this.#core.creditConnection();
  }

  padding(streamId: number, length: number): void {
    const { received, streams } = this.#core;
    received.received(length);
    const stream = streams.get(streamId);
    if (stream === undefined) streams.refuseUnopened(streamId, "DATA");
    else if (stream.remoteEnded) this.#settle(stream, errorCode.streamClosed);
    else {
      stream.receiveWindow -= length;
      if (stream.receiveWindow < 0) this.#settle(stream, errorCode.flowControlError);
      else this.#core.creditStream(stream, length);
    }
    this.#core.creditConnection();
  }

  headers(streamId: number, fields: string[], endStream: boolean): void {
    const { streams, budget } = this.#core;
    const stream = streams.get(streamId);
    if (stream === undefined) {
      this.#open(streamId, fields, endStream);
      return;
    }
    // Do not charge the final head of a response, which our request has caused. Charge all other heads by the number of
    // their fields: interim heads, and heads inside a stream.
    const isPaid = !stream.isAnsweredByPeer && this.#isFinalHead(fields);
    if (isPaid) stream.isAnsweredByPeer = true;
    if (!endStream) budget.idleFrame(isPaid ? undefined : fields);
    if (stream.remoteEnded) {
      this.#settle(stream, errorCode.streamClosed);
      return;
    }
    stream.remoteEnded = endStream;
    let code: number;
    try {
      code = stream.receiveHeaders(fields, endStream);
    } catch (error) {
      code = this.#core.faulted(error);
    }
    this.#settle(stream, code);
  }

  #isFinalHead([name, status = ""]: readonly string[]): boolean {
    return !this.#core.server && name === ":status" && !status.startsWith("1");
  }

  /**
   * Ends the turn after some heads, because the frames after a head may cancel its stream. A cancellation in the same
   * turn makes the stream cost least.
   */
  isTurnOver(streamId: number): boolean {
    const { openedInTurn, budget, limits, streams } = this.#core;
    // Streams that have waited here may have been reset in the meantime, so check the budget again.
    this.#throwIfExceeded();
    return (openedInTurn >= limits.streamsPerTurn || budget.waitMs > 0) && streams.get(streamId) === undefined;
  }

  rstStream(streamId: number, code: number): void {
    const { streams, budget, limits, nowMs, server } = this.#core;
    const stream = streams.get(streamId);
    if (stream === undefined) {
      streams.refuseUnopened(streamId, "RST_STREAM");
      budget.idleFrame();
      return;
    }
    const { prematureResetMs, answeredResetsAreFree } = limits;
    const free = (stream.answered && answeredResetsAreFree) || nowMs - stream.openedAtMs >= prematureResetMs;
    try {
      stream.resetByPeer(code);
    } catch (error) {
      this.#core.faulted(error);
    }
    if (!free && server) budget.takenBack();
    this.#throwIfExceeded();
  }

  settings(values: ReadonlyMap<number, number>): void {
    const core = this.#core;
    core.budget.idleFrame();
    core.peerMaxStreams =
      values.get(setting.maxConcurrentStreams) ?? (core.sawSettings ? core.peerMaxStreams : Infinity);
    core.sawSettings = true;
    if ((values.get(setting.headerTableSize) ?? defaultHeaderTableBytes) < defaultHeaderTableBytes)
      core.peerDecoderShrunk = true;
    if (!core.over) core.port.output().settingsAck();
    core.windows.change(
      values.get(setting.initialWindowSize),
      values.get(setting.maxFrameSize),
      () => core.streams.all,
    );
    core.port.settingsChanged();
  }

  settingsAck(): void {
    this.#core.peerKnowsLimits = true;
    this.#core.budget.idleFrame();
  }

  ignored(): void {
    this.#core.budget.idleFrame();
  }

  ping(opaque: Buffer): void {
    this.#core.budget.idleFrame();
    if (!this.#core.over) this.#core.port.output().ping(opaque, true);
  }

  pingAck(opaque: Buffer): void {
    this.#core.budget.idleFrame();
    if (opaque.equals(goawayPing)) this.#core.refuseMore();
  }

  goaway(lastStreamId: number, code: number, debug: string): void {
    this.#core.budget.idleFrame();
    this.#core.streams.peerLeaves = true;
    this.#core.port.peerLeaves(lastStreamId, code, debug);
    this.#core.finishIfDone();
  }

  windowUpdate(streamId: number, increment: number): void {
    const { streams, windows, budget } = this.#core;
    if (streamId === 0) {
      if (!windows.openConnection(increment)) budget.idleFrame();
      return;
    }
    const stream = streams.get(streamId);
    if (stream === undefined) {
      streams.refuseUnopened(streamId, "WINDOW_UPDATE");
      budget.idleFrame();
      return;
    }
    const waited = windows.openStream(stream, increment);
    if (waited === undefined) this.#settle(stream, errorCode.flowControlError);
    else if (!waited) budget.idleFrame();
  }

  #open(streamId: number, fields: readonly string[], endStream: boolean): void {
    const { streams, budget, port, maxStreams, over } = this.#core;
    // The session may have ended within this chunk.
    if (!streams.isNew(streamId) || over) {
      budget.idleFrame(fields);
      return;
    }
    this.#core.openedInTurn += 1;
    if (streams.size >= maxStreams) {
      this.#core.refuseAboveLimit(streamId);
      this.#throwIfExceeded();
      return;
    }
    budget.earn(0);
    budget.opened();
    try {
      port.opened(streamId, fields, endStream);
    } catch (error) {
      this.#refuseFaulted(streamId, this.#core.faulted(error));
    }
    this.#throwIfExceeded();
  }

  #deliver(stream: Stream, chunk: Buffer, endStream: boolean): number {
    if (stream.remoteEnded) return errorCode.streamClosed;
    stream.receiveWindow -= chunk.length;
    if (stream.receiveWindow < 0) return errorCode.flowControlError;
    stream.remoteEnded = endStream;
    try {
      return stream.receive(chunk, endStream);
    } catch (error) {
      return this.#core.faulted(error);
    }
  }

  /** Ends a new stream whose beginning has failed, whether or not the port has adopted it. */
  #refuseFaulted(streamId: number, code: number): void {
    const stream = this.#core.streams.get(streamId);
    if (stream === undefined) this.#core.reset(streamId, code);
    else this.#core.resetFaulted(stream, code);
  }

  /** Resets a stream on which the peer has broken the protocol, or on which we have failed. */
  #settle(stream: Stream, code: number): void {
    if (code !== errorCode.noError) this.#core.resetFaulted(stream, code);
    this.#throwIfExceeded();
  }

  /**
   * Throws if the budget is exceeded. The budget itself does not throw when it is charged, because a stream may just be
   * ending there.
   */
  #throwIfExceeded(): void {
    const { exceeded } = this.#core.budget;
    if (exceeded !== undefined) throw exceeded;
  }
}

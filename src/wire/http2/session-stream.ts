/**
 * A stream's state in the session, and the calls that the session makes to it. Error codes are those of RFC 9113, or
 * `noError`.
 */
export abstract class SessionStream {
  readonly id: number;
  /** The number of bytes that the peer lets us send. */
  sendWindow = 0;
  /** The number of bytes that we let the peer send. */
  receiveWindow = 0;
  /** Bytes that were read and not yet given back as window. */
  uncredited = 0;
  openedAtMs = 0;
  /** Whether we have sent a final (not interim) head. */
  answered = false;
  /** Whether the peer, a server, has sent a final head. */
  isAnsweredByPeer = false;
  /** Whether the peer has ended the stream. Some of its data may still wait here. */
  remoteEnded = false;
  /** Whether our END_STREAM has been written. */
  sentEnd = false;
  /**
   * Whether the stream has cost us more than an answer, such as a connection to another server. If so, it is charged at
   * its end.
   */
  isCostly = false;

  constructor(id: number) {
    this.id = id;
  }

  /** Receives a piece of DATA within the window, valid during the call. Returns the stream's error code. */
  abstract receive(chunk: Buffer, endStream: boolean): number;
  /** Receives a head or trailers. Returns like {@link receive}. */
  abstract receiveHeaders(fields: readonly string[], endStream: boolean): number;
  abstract resetByPeer(code: number): void;
  /** Called when the session has reset the stream, because the peer violated the protocol on it. */
  abstract broken(code: number): void;
  /** Called when windows or the output have room again. */
  abstract writable(): void;
}

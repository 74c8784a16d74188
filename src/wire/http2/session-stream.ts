/**
 * A stream's state in the session, and the methods by which the session calls the stream. Error codes are those of RFC
 * 9113, where `noError` means success.
 */
export abstract class SessionStream {
  readonly id: number;
  /** How many bytes the peer allows us to send. */
  sendWindow = 0;
  /** How many bytes we allow the peer to send. */
  receiveWindow = 0;
  /** Bytes that were read, but whose window the peer has not got back. */
  uncredited = 0;
  openedAtMs = 0;
  /** Whether we have sent a final head. An interim head does not count. */
  answered = false;
  /** Whether the peer, if it is a server, has sent a final head. */
  isAnsweredByPeer = false;
  /** Whether the peer has ended the stream. Some of its data may still wait. */
  remoteEnded = false;
  sentEnd = false;
  /**
   * Whether the stream has caused more work than an answer, such as a connection to another server. If so, the flood
   * budget is charged at the stream's end.
   */
  isCostly = false;

  constructor(id: number) {
    this.id = id;
  }

  /**
   * Gets a piece of DATA, which is within the window and valid only during the call. Returns an error code for the
   * stream.
   */
  abstract receive(chunk: Buffer, endStream: boolean): number;
  /** Gets a head or trailers. Returns an error code for the stream. */
  abstract receiveHeaders(fields: readonly string[], endStream: boolean): number;
  abstract resetByPeer(code: number): void;
  /** Called when the session has reset the stream, because the peer has broken the protocol on it. */
  abstract broken(code: number): void;
  /** Called when windows or the output may have room again. */
  abstract writable(): void;
}

/**
 * A stream's state in the session, and the calls that the session makes to it. Error codes are RFC 9113's; `noError` if
 * there is none.
 */
export abstract class SessionStream {
  readonly id: number;
  /** How many bytes the peer lets us send. */
  sendWindow = 0;
  /** How many bytes we let the peer send. */
  receiveWindow = 0;
  /** Bytes that were read and are not yet given back as window. */
  uncredited = 0;
  openedAtMs = 0;
  /** We have sent a head that is no interim one. */
  answered = false;
  /** The peer has ended. Some of its data may still wait here. */
  remoteEnded = false;
  /** END_STREAM of ours is on its way. */
  sentEnd = false;

  constructor(id: number) {
    this.id = id;
  }

  /** A piece of DATA within the window; valid during the call. Answers the code of the stream's error. */
  abstract receive(chunk: Buffer, endStream: boolean): number;
  /** A head or trailers. Answers as {@link receive}. */
  abstract receiveHeaders(fields: readonly string[], endStream: boolean): number;
  abstract resetByPeer(code: number): void;
  /** The session has reset the stream, because the peer broke the rules on it. */
  abstract broken(code: number): void;
  /** Windows or output have room again. */
  abstract writable(): void;
}

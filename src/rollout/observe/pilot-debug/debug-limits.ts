export interface AnswerLimits {
  /** The request fails if no data arrives for this long. */
  readonly silenceMs: number;
  readonly answerMs: number;
}

export interface SessionLimits extends AnswerLimits {
  /** A session ends after this time without a request. */
  readonly idleMs: number;
  readonly handshakeMs: number;
  /** After an unanswered request, the session ends unless the pilot sends a sign of life in this time. */
  readonly pingMs: number;
}

/**
 * The limits are long, because release 0.1.0 of Serin's pilots lets requests wait while its model settles, which takes
 * seconds in a large mesh.
 */
export const usualLimits: SessionLimits = {
  silenceMs: 10_000,
  answerMs: 30_000,
  idleMs: 10_000,
  handshakeMs: 2000,
  pingMs: 2000,
};

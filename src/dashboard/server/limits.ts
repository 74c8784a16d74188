/** Bounds of the dashboard's server; each is answered with a reason where it is met. */
export const limits = {
  /** Longer bodies are refused: an object of Kubernetes is smaller than this. */
  bodyBytes: 1_500_000,
  /** TCP connections; further ones are closed. Pages hold one for the stream, and a few while they ask. */
  connections: 512,
  /** Requests that are answered at once, apart from streams. */
  requestsInFlight: 64,
  /** For one user; for requests without a login, for one address. */
  requestsOfSender: 24,
  /** An answer that has not been read by then is given up. */
  answerReadMs: 60_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 60_000,
  /** Open pages: of all, of one user, and of all of one address who have not said who they are. */
  pages: 256,
  pagesOfUser: 64,
  pagesOfAddress: 128,
  topicsOfPage: 8,
  /** Different ones of all pages of one user, and of all who have not said who they are. */
  topicsOfUser: 128,
  topicTextLength: 2_000,
  /** Views that are followed at once, each for all pages that show it to readers of the same rights. */
  topics: 512,
  /** A page that has so much unread, beside the whole of its views, gets no changes any more until it has caught up. */
  unreadBytes: 1 << 20,
  /** A page that has read nothing for this time is closed. It connects again. */
  stalledMs: 60_000,
  /** How many changes since a whole view are kept for new readers. */
  changesKept: 64,
  sessions: 1_000,
  sessionsOfUser: 32,
  tokenLength: 16_384,
  /** Failed logins from one address, and how many addresses are remembered for this. */
  failedLoginsPerMinute: 60,
  failedLoginAddresses: 10_000,
  answersOfRights: 20_000,
  auditRecords: 500,
} as const;

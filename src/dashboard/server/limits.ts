/** The bounds of the dashboard's server. A request beyond a bound gets an answer with the reason. */
export const limits = {
  /** The maximum size of a request's body. An object of Kubernetes is smaller. */
  bodyBytes: 1_500_000,
  /**
   * The maximum number of TCP connections. Of further ones, the address with the most loses one. A page has one for its
   * stream and some for requests.
   */
  connections: 512,
  /** The maximum number of concurrent requests, without streams. */
  requestsInFlight: 64,
  requestsWithoutLogin: 48,
  /** The maximum number for one user. For requests without a login, for one address. */
  requestsOfSender: 24,
  /** The connection is closed if the client has not read its answer by then. */
  answerReadMs: 60_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 60_000,
  /** The maximum numbers of open pages: of all, of all anonymous users, of one user, and of one address's. */
  pages: 256,
  pagesWithoutLogin: 192,
  pagesOfUser: 64,
  pagesOfAddress: 128,
  topicsOfPage: 8,
  /** The maximum number of different topics of one user, and of all anonymous users together. */
  topicsOfUser: 128,
  topicTextLength: 2_000,
  /** The maximum number of followed views. Pages of readers with the same rights share a view. */
  topics: 512,
  /** A page with more unread data than this gets no changes until it has caught up. Whole views do not count. */
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

/** The bounds of the dashboard's server. A request beyond a bound gets an answer with the reason. */
export const limits = {
  /** The maximum size of a request's body. An object of Kubernetes is smaller. */
  bodyBytes: 1_500_000,
  /**
   * The maximum number of TCP connections. For each further one, the address with the most connections loses one. A
   * page has one for its stream and some for requests.
   */
  connections: 512,
  /** The maximum number of concurrent requests, without streams. */
  requestsInFlight: 64,
  requestsWithoutLogin: 48,
  /** The maximum number of concurrent requests of one user, or of one address without a login. */
  requestsOfSender: 24,
  /** The time after which a connection is closed whose client has not read its answer. */
  answerReadMs: 60_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 60_000,
  /** The maximum numbers of open pages: in total, of all anonymous users, of one user, and of one address. */
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
  /**
   * The maximum size of unread changes. A page with more unread bytes gets no changes until it has read them. Whole
   * views are not part of this size.
   */
  unreadBytes: 1 << 20,
  /** The time after which a page that has read nothing is closed. The page connects again. */
  stalledMs: 60_000,
  /** How many changes since a whole view are kept for new readers. */
  changesKept: 64,
  sessions: 1_000,
  sessionsOfUser: 32,
  tokenLength: 16_384,
  /** The maximum number of failed logins from one address, and of addresses that are remembered for this. */
  failedLoginsPerMinute: 60,
  failedLoginAddresses: 10_000,
  answersOfRights: 20_000,
  auditRecords: 500,
} as const;

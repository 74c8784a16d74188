/** The bounds of the dashboard's server. A request beyond a bound gets an answer with the reason. */
export const limits = {
  /** The maximum size of a request's body. Objects of Kubernetes are smaller. */
  bodyBytes: 1_500_000,
  /**
   * The maximum number of TCP connections. When a further one arrives, the address with the most connections loses one.
   * A page has one for its stream, and some for requests.
   */
  connections: 512,
  /** The maximum number of requests at the same time, without streams. */
  requestsInFlight: 64,
  requestsWithoutLogin: 48,
  /** The maximum number of requests at the same time of one user, or of one address without a login. */
  requestsOfSender: 24,
  /** A connection is closed if its client has not read its answer after this time. */
  answerReadMs: 60_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 60_000,
  /** The maximum numbers of open pages: of all users, of anonymous users together, of one user, and of one address. */
  pages: 256,
  pagesWithoutLogin: 192,
  pagesOfUser: 64,
  pagesOfAddress: 128,
  topicsOfPage: 8,
  /** The maximum number of different topics that one user follows, or that all anonymous users follow together. */
  topicsOfUser: 128,
  topicTextLength: 2_000,
  /** The maximum number of views that are followed. Pages of readers with the same rights share a view. */
  topics: 512,
  /**
   * The maximum size of a page's unread changes. A page with more gets no changes until it has read them. Whole views
   * do not count.
   */
  unreadBytes: 1 << 20,
  /** A page is closed if it has read nothing for this time. It then connects again. */
  stalledMs: 60_000,
  /** How many changes are kept after a whole view. A new reader gets both. */
  changesKept: 64,
  sessions: 1_000,
  sessionsOfUser: 32,
  tokenLength: 16_384,
  /** The maximum number of failed logins in a minute from one network, and of networks that are remembered for this. */
  failedLoginsPerMinute: 60,
  failedLoginAddresses: 10_000,
  answersOfRights: 20_000,
  auditRecords: 500,
} as const;

/** Who looks at the page, and what they may do. */
export interface Session {
  readonly user: string;
  readonly groups: readonly string[];
  /**
   * `kubeconfig`: the server runs by the user's own kubeconfig; `token`: a bearer token was given; `anonymous`: the server's own account
   * reads, and nothing is written; `none`: log in first.
   */
  readonly authentication: "kubeconfig" | "token" | "anonymous" | "none";
  readonly mayLogIn: boolean;
  /** Sent with every request that is no GET, as header `x-serin-csrf`. */
  readonly csrfToken: string;
  readonly version: string;
  /** The API server's address, or the name of the lab. */
  readonly cluster: string;
  /** Namespaces whose pods the user may list, or `*`. */
  readonly namespaces: readonly string[];
  /** Shown as a notice: what the user cannot see or do, and how that is granted. */
  readonly limits: readonly string[];
}

/** `POST /api/login`. The answer is a Session and a cookie that scripts cannot read. */
export interface LoginRequest {
  readonly token: string;
}

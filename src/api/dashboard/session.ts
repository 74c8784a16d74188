export interface Session {
  readonly user: string;
  readonly groups: readonly string[];
  /**
   * With `kubeconfig`, the server uses the user's kubeconfig. With `token`, the user gave a bearer token. With
   * `anonymous`, the server reads with its own account, and nobody can write. With `none`, the user must log in first.
   */
  readonly authentication: "kubeconfig" | "token" | "anonymous" | "none";
  readonly mayLogIn: boolean;
  /** The page sends it as the header `x-serin-csrf` with every request except GET. */
  readonly csrfToken: string;
  readonly version: string;
  /** The API server's address, or the name of the lab. */
  readonly cluster: string;
  /** Namespaces whose pods the user may list, or `*`. */
  readonly namespaces: readonly string[];
  /** Notices about what the user cannot see or do, and how to grant it. */
  readonly limits: readonly string[];
}

/** `POST /api/login`. The answer is a Session and a cookie that scripts cannot read. */
export interface LoginRequest {
  readonly token: string;
}

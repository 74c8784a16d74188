/** The authenticated user of a request (authentication.k8s.io UserInfo). */
export interface User {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export const anonymousUser: User = { name: "system:anonymous", groups: ["system:unauthenticated"] };

/** The user for the server's own writes, at its start and in its maintenance. */
export const serverUser: User = { name: "system:apiserver", groups: ["system:masters", "system:authenticated"] };

const serviceAccountName = /^system:serviceaccount:([a-z0-9][-a-z0-9]*):([a-z0-9][-.a-z0-9]*)$/;

/** The `namespace` and `name` in the user name of a service account. Returns undefined for other users. */
export function serviceAccountOf(userName: string): { readonly namespace: string; readonly name: string } | undefined {
  const [, namespace, name] = serviceAccountName.exec(userName) ?? [];
  return namespace === undefined || name === undefined ? undefined : { namespace, name };
}

const nodePrefix = "system:node:";

/** The name of the node whose identity the user has. Returns undefined for other users. */
export function nodeNameOf({ name, groups }: User): string | undefined {
  return groups.includes("system:nodes") && name.startsWith(nodePrefix) ? name.slice(nodePrefix.length) : undefined;
}

export const nodeLeaseNamespace = "kube-node-lease";

export interface AccessAttributes {
  /**
   * The verb of a resource, such as `get` or `create`. For paths without a resource, it is the HTTP method in lower
   * case.
   */
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** The path, such as `/healthz`. Set only for paths without a resource. */
  readonly path?: string;
}

import type { IncomingHttpHeaders } from "node:http";
import { serviceAccountOf, type AccessAttributes, type Authorizer, type User } from "../auth/index.ts";
import { ApiError } from "./status.ts";

const authenticationGroup = "authentication.k8s.io";
const extraPrefix = "impersonate-extra-";

/**
 * The user that the request's `Impersonate-*` headers describe, or the real user if there are no such headers. Throws
 * 403 if the real user may not impersonate that user.
 */
export function impersonated(authorizer: Authorizer, user: User, headers: IncomingHttpHeaders): User {
  const name = textOf(headers["impersonate-user"]);
  const groups = listOf(headers["impersonate-group"]);
  const uid = textOf(headers["impersonate-uid"]);
  const extra = extraOf(headers);
  if (name === undefined) {
    if (groups.length > 0) throw new ApiError(400, "BadRequest", "requested groups without impersonating a user");
    if (uid !== undefined || extra.size > 0)
      throw new ApiError(400, "BadRequest", "requested a uid or extra fields without impersonating a user");
    return user;
  }
  const account = serviceAccountOf(name);
  const check = (subject: Partial<AccessAttributes>): void => require(authorizer, user, subject);
  if (account === undefined) check({ resource: "users", name });
  else check({ resource: "serviceaccounts", name: account.name, namespace: account.namespace });
  for (const group of groups) check({ resource: "groups", name: group });
  if (uid !== undefined) check({ group: authenticationGroup, resource: "uids", name: uid });
  for (const [key, values] of extra)
    for (const value of values)
      check({ group: authenticationGroup, resource: "userextras", subresource: key, name: value });
  const own = account === undefined ? [] : ["system:serviceaccounts", `system:serviceaccounts:${account.namespace}`];
  const base = groups.length > 0 ? groups : own;
  const standing = name === "system:anonymous" ? "system:unauthenticated" : "system:authenticated";
  return {
    name,
    groups: base.includes(standing) ? base : [...base, standing],
    ...(uid === undefined ? {} : { uid }),
    ...(extra.size === 0 ? {} : { extra: Object.fromEntries(extra) }),
  };
}

function require(authorizer: Authorizer, user: User, subject: Partial<AccessAttributes>): void {
  const attributes: AccessAttributes = {
    verb: "impersonate",
    group: "",
    resource: "",
    subresource: "",
    namespace: "",
    name: "",
    ...subject,
  };
  if (authorizer.authorize(user, attributes).allowed) return;
  const { group, resource, subresource, namespace, name } = attributes;
  const scope = namespace === "" ? "at the cluster scope" : `in the namespace "${namespace}"`;
  const kind = subresource === "" ? resource : `${resource}/${subresource}`;
  const qualified = group === "" ? kind : `${kind}.${group}`;
  const message = `${qualified} "${name}" is forbidden: User "${user.name}" cannot impersonate resource "${kind}" in API group "${group}" ${scope}`;
  throw new ApiError(403, "Forbidden", message, { name, kind: resource });
}

/** The values of each `Impersonate-Extra-<key>`. A key is percent-encoded and case-insensitive. */
function extraOf(headers: IncomingHttpHeaders): ReadonlyMap<string, readonly string[]> {
  return new Map(
    Object.entries(headers)
      .filter(([name]) => name.startsWith(extraPrefix))
      .map(([name, value]) => [decodedKey(name.slice(extraPrefix.length)), listOf(value)]),
  );
}

function decodedKey(key: string): string {
  try {
    return decodeURIComponent(key).toLowerCase();
  } catch {
    // The key is not valid percent-encoding. Return it as it is, because clients may send keys unencoded.
    return key;
  }
}

function textOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function listOf(value: string | string[] | undefined): string[] {
  if (value === undefined) return [];
  return (Array.isArray(value) ? value : value.split(",")).map((word) => word.trim());
}

import type { IncomingHttpHeaders } from "node:http";
import { serviceAccountOf, type AccessAttributes, type RbacAuthorizer, type User } from "../auth/index.ts";
import { ApiError } from "./status.ts";

/**
 * The user in `Impersonate-User` and `-Group`, if the real user may impersonate. Without the headers, the real user.
 */
export function impersonated(authorizer: RbacAuthorizer, user: User, headers: IncomingHttpHeaders): User {
  const name = textOf(headers["impersonate-user"]);
  const groups = listOf(headers["impersonate-group"]);
  if (name === undefined) {
    if (groups.length > 0) throw new ApiError(400, "BadRequest", "requested groups without impersonating a user");
    return user;
  }
  const account = serviceAccountOf(name);
  if (account !== undefined) require(authorizer, user, "serviceaccounts", account.name, account.namespace);
  else require(authorizer, user, "users", name, "");
  for (const group of groups) require(authorizer, user, "groups", group, "");
  const own = account === undefined ? [] : ["system:serviceaccounts", `system:serviceaccounts:${account.namespace}`];
  const base = groups.length > 0 ? groups : own;
  const standing = name === "system:anonymous" ? "system:unauthenticated" : "system:authenticated";
  return { name, groups: base.includes(standing) ? base : [...base, standing] };
}

function require(authorizer: RbacAuthorizer, user: User, resource: string, name: string, namespace: string): void {
  const attributes: AccessAttributes = { verb: "impersonate", group: "", resource, subresource: "", namespace, name };
  if (authorizer.authorize(user, attributes).allowed) return;
  const scope = namespace === "" ? "at the cluster scope" : `in the namespace "${namespace}"`;
  const message = `${resource} "${name}" is forbidden: User "${user.name}" cannot impersonate resource "${resource}" in API group "" ${scope}`;
  throw new ApiError(403, "Forbidden", message, { name, kind: resource });
}

function textOf(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value[0] : value;
}

function listOf(value: string | string[] | undefined): string[] {
  if (value === undefined) return [];
  return (Array.isArray(value) ? value : value.split(",")).map((word) => word.trim());
}

import { transientError, userError } from "../../../base/index.ts";
import { askSelfAccess } from "../../../kube/access/index.ts";
import type { KubeClient } from "../../../kube/index.ts";
import type { AccessRight } from "../view-source.ts";

export interface KnownUser {
  readonly user: string;
  readonly groups: readonly string[];
}

interface UserInfo {
  readonly username?: string;
  readonly groups?: readonly string[];
}

const authentication = "authentication.k8s.io/v1";

/**
 * Reviews a token with the server's own account. Undefined if the API server refuses the token. Throws `forbidden` if
 * the account may not create TokenReviews.
 */
export async function reviewToken(server: KubeClient, token: string): Promise<KnownUser | undefined> {
  const status = await review<{ authenticated?: boolean; user?: UserInfo }>(
    server,
    `/apis/${authentication}/tokenreviews`,
    { apiVersion: authentication, kind: "TokenReview", spec: { token } },
  );
  return status.authenticated === true ? knownUser(status.user) : undefined;
}

/** Asks who the client's user is (SelfSubjectReview). Undefined if the API server refuses the credentials. */
export async function reviewSelf(client: KubeClient): Promise<KnownUser | undefined> {
  try {
    const status = await review<{ userInfo?: UserInfo }>(client, `/apis/${authentication}/selfsubjectreviews`, {
      apiVersion: authentication,
      kind: "SelfSubjectReview",
    });
    return knownUser(status.userInfo);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "unauthorized") return undefined;
    throw error;
  }
}

/** Asks whether the client's user has the right (SelfSubjectAccessReview). Every user may ask this. */
export async function reviewAccess(
  client: KubeClient,
  { namespace, name, subresource, ...right }: AccessRight,
): Promise<boolean> {
  const resourceAttributes = {
    ...right,
    ...(namespace === "" ? {} : { namespace }),
    ...(name === undefined ? {} : { name }),
    ...(subresource === undefined ? {} : { subresource }),
  };
  const { allowed, httpStatus } = await askSelfAccess(client, resourceAttributes);
  checkAnswer(httpStatus, "selfsubjectaccessreviews");
  return allowed;
}

function knownUser({ username = "", groups = [] }: UserInfo = {}): KnownUser | undefined {
  return username === "" ? undefined : { user: username, groups };
}

async function review<Status>(client: KubeClient, path: string, body: unknown): Promise<Status> {
  const { status, text } = await client.raw("POST", path, { body });
  checkAnswer(status, path.split("/").at(-1) ?? "");
  return ((JSON.parse(text) as { status?: Status }).status ?? {}) as Status;
}

function checkAnswer(httpStatus: number, resource: string): void {
  if (httpStatus === 401)
    throw userError("unauthorized", "the API server does not accept these credentials", { hint: "log in again" });
  if (httpStatus === 403) throw userError("forbidden", `the API server does not answer ${resource} for this account`);
  if (httpStatus >= 300) throw transientError("unavailable", `the API server answered ${httpStatus} for ${resource}`);
}

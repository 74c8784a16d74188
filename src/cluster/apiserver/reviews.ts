// The review kinds. The server answers a create request for a review, and stores nothing.
import { rfc3339Seconds } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { Pod } from "../../api/kubernetes/index.ts";
import { nodeNameOf, type AccessAttributes, type TokenRequest, type User } from "../auth/index.ts";
import { decodeObject, readBody } from "./body.ts";
import { nowText, sendJson, type ResourceContext, type ServerParts } from "./context.ts";
import type { ResourceType } from "../schema/contract.ts";
import { fieldErrors } from "../schema/field-error.ts";
import { checkTypes } from "./options.ts";
import { ApiError, badRequest, conflict, invalid, notFound } from "./status.ts";
import { admitCreation } from "./subresource-admission.ts";

type Fields = Record<string, unknown>;
type Review = (parts: ServerParts, context: ResourceContext, spec: Fields) => { spec?: Fields; status: unknown };

const reviews: Readonly<Record<string, Review>> = {
  "authorization.k8s.io/selfsubjectaccessreviews": (parts, { type, user }, spec) => ({
    status: decide(parts, user, type, spec),
  }),
  "authorization.k8s.io/subjectaccessreviews": (parts, { type }, spec) => ({
    status: decide(parts, userOf(type, spec), type, spec),
  }),
  "authorization.k8s.io/localsubjectaccessreviews": (parts, { type, info }, spec) => {
    checkLocal(type, info.namespace, spec);
    return { status: decide(parts, userOf(type, spec), type, spec) };
  },
  "authorization.k8s.io/selfsubjectrulesreviews": rulesReview,
  "authentication.k8s.io/tokenreviews": tokenReview,
  "authentication.k8s.io/selfsubjectreviews": selfReview,
};

function selfReview(_parts: ServerParts, { user }: ResourceContext): { status: unknown } {
  return { status: { userInfo: userInfo(user) } };
}

export function isReview(context: ResourceContext): boolean {
  return reviews[context.type.storageKey] !== undefined;
}

export async function answerReview(parts: ServerParts, context: ResourceContext): Promise<void> {
  const { request, type } = context;
  const { object } = await decodeObject(await readBody(request), request.headers["content-type"], parts.registry);
  const review = reviews[type.storageKey];
  if (review === undefined) throw badRequest(`${type.plural} is not a review`);
  checkReviewTypes(object["spec"] ?? {}, `${type.kind}.spec`);
  const { spec, status } = review(parts, context, (object["spec"] ?? {}) as Fields);
  const answer: UntypedObject = {
    ...object,
    kind: type.kind,
    apiVersion: `${type.group}/${type.version}`,
    metadata: review === selfReview ? { ...object.metadata, creationTimestamp: nowText(parts.clock) } : object.metadata,
    status,
  };
  if (spec !== undefined) answer["spec"] = spec;
  sendJson(context, 201, answer);
}

/** Checks the types of a review's fields. Reviews are not stored, so no schema checks them. */
function checkReviewTypes(spec: unknown, where: string): void {
  const texts = { user: "text", uid: "text", token: "text", namespace: "text" } as const;
  const lists = { groups: "texts", audiences: "texts" } as const;
  checkTypes(spec, { ...texts, ...lists, resourceAttributes: "object", nonResourceAttributes: "object" }, where);
  const { resourceAttributes, nonResourceAttributes } = spec as Fields;
  const names = ["verb", "group", "version", "resource", "subresource", "namespace", "name"];
  const attributes = Object.fromEntries(names.map((name) => [name, "text" as const]));
  checkTypes(resourceAttributes ?? {}, attributes, `${where}.resourceAttributes`);
  checkTypes(nonResourceAttributes ?? {}, { verb: "text", path: "text" }, `${where}.nonResourceAttributes`);
}

function decide(parts: ServerParts, user: User, type: ResourceType, spec: Fields): unknown {
  if (isAbsent(spec["resourceAttributes"]) === isAbsent(spec["nonResourceAttributes"])) {
    throw invalid(type, "", [
      fieldErrors.invalid(
        "spec.resourceAttributes",
        spec["resourceAttributes"] ?? null,
        "exactly one of nonResourceAttributes or resourceAttributes must be specified",
      ),
    ]);
  }
  const decision = parts.authorizer.authorize(user, attributesOf(spec));
  return { allowed: decision.allowed, ...(decision.reason === "" ? {} : { reason: decision.reason }) };
}

/** Throws 422 for a local review about a path, or about another namespace than its own. */
function checkLocal(type: ResourceType, namespace: string, spec: Fields): void {
  const wanted = spec["resourceAttributes"] as { readonly namespace?: string } | null | undefined;
  if (!isAbsent(spec["nonResourceAttributes"]))
    throw invalid(type, "", [
      fieldErrors.invalid(
        "spec.nonResourceAttributes",
        spec["nonResourceAttributes"],
        "disallowed on this kind of request",
      ),
    ]);
  if (isAbsent(wanted) || wanted?.namespace === namespace) return;
  const field = "spec.resourceAttributes.namespace";
  throw invalid(type, "", [fieldErrors.invalid(field, wanted?.namespace ?? "", "must match metadata.namespace")]);
}

function attributesOf(spec: Fields): AccessAttributes {
  const plain = spec["nonResourceAttributes"] as { path?: string; verb?: string } | null | undefined;
  const text = (fields: Fields, name: string): string => (typeof fields[name] === "string" ? fields[name] : "");
  if (plain !== undefined && plain !== null) {
    return {
      verb: plain.verb ?? "",
      path: plain.path ?? "",
      group: "",
      resource: "",
      subresource: "",
      namespace: "",
      name: "",
    };
  }
  const fields = (spec["resourceAttributes"] ?? {}) as Fields;
  const read = (name: string): string => text(fields, name);
  return {
    verb: read("verb"),
    group: read("group"),
    resource: read("resource"),
    subresource: read("subresource"),
    namespace: read("namespace"),
    name: read("name"),
  };
}

function isAbsent(value: unknown): boolean {
  return value === undefined || value === null;
}

function userOf(type: ResourceType, spec: Fields): User {
  if (!spec["user"] && ((spec["groups"] as readonly string[] | null | undefined) ?? []).length === 0)
    throw invalid(type, "", [fieldErrors.invalid("spec.user", "", "at least one of user or group must be specified")]);
  const name = typeof spec["user"] === "string" ? spec["user"] : "";
  return { name, groups: (spec["groups"] as string[] | null | undefined) ?? [] };
}

export function userInfo(user: User): Fields {
  return {
    username: user.name,
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    groups: user.groups,
    ...(user.extra === undefined ? {} : { extra: user.extra }),
  };
}

function tokenReview(parts: ServerParts, _context: ResourceContext, spec: Fields): { spec: Fields; status: unknown } {
  const token = typeof spec["token"] === "string" ? spec["token"] : "";
  const wanted = (spec["audiences"] as string[] | null | undefined) ?? [];
  const verified = parts.tokens.verify(token, wanted.length > 0 ? wanted : parts.tokens.apiAudiences);
  if (verified === undefined) return { spec, status: { user: {}, error: "invalid bearer token" } };
  return { spec, status: { authenticated: true, user: userInfo(verified.user), audiences: verified.audiences } };
}

function rulesReview(parts: ServerParts, { user }: ResourceContext, spec: Fields): { status: unknown } {
  const namespace = typeof spec["namespace"] === "string" ? spec["namespace"] : "";
  if (namespace === "") throw badRequest("no namespace on request");
  const rules = parts.authorizer.rulesFor(user, namespace);
  const resourceRules = rules
    .filter((rule) => (rule.resources ?? []).length > 0)
    .map(({ verbs, apiGroups, resources, resourceNames }) => ({ verbs, apiGroups, resources, resourceNames }));
  const nonResourceRules = rules
    .filter((rule) => (rule.nonResourceURLs ?? []).length > 0)
    .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs }));
  const unlisted =
    nodeNameOf(user) === undefined
      ? { incomplete: false }
      : { incomplete: true, evaluationError: "node authorizer does not support user rule resolution" };
  return { status: { resourceRules, nonResourceRules, ...unlisted } };
}

const minimumTokenSeconds = 600;
const maximumTokenSeconds = 2 ** 32;

export async function createToken(parts: ServerParts, context: ResourceContext): Promise<void> {
  const { info, request } = context;
  const { object: sent } = await decodeObject(await readBody(request), request.headers["content-type"], parts.registry);
  const account = parts.store.get("/serviceaccounts", info.namespace, info.name);
  if (account === undefined) throw notFound({ group: "", plural: "serviceaccounts" }, info.name);
  checkTokenTypes(sent["spec"] ?? {});
  const object = await admitCreation(parts, context, sent);
  checkTokenTypes(object["spec"] ?? {});
  const spec = (object["spec"] ?? {}) as {
    audiences?: string[];
    expirationSeconds?: number;
    boundObjectRef?: BoundReference;
  };
  const expirationSeconds = spec.expirationSeconds ?? 3600;
  if (expirationSeconds < minimumTokenSeconds || expirationSeconds > maximumTokenSeconds) {
    throw invalid({ group: "authentication.k8s.io", kind: "TokenRequest" }, "", [
      fieldErrors.invalid(
        "spec.expirationSeconds",
        expirationSeconds,
        expirationSeconds < minimumTokenSeconds
          ? "may not specify a duration less than 10 minutes"
          : "may not specify a duration larger than 2^32 seconds",
      ),
    ]);
  }
  const bound = boundObject(parts, info, spec.boundObjectRef);
  checkNodesToken(parts, context, bound, spec.audiences ?? []);
  const audiences = (spec.audiences ?? []).length > 0 ? (spec.audiences ?? []) : [parts.tokens.issuer];
  const { token, expiresAtMs } = parts.tokens.issue({
    namespace: info.namespace,
    serviceAccount: info.name,
    serviceAccountUid: account.uid,
    audiences,
    expirationSeconds,
    ...bound,
  });
  const expirationTimestamp = rfc3339Seconds(expiresAtMs);
  sendJson(context, 201, {
    kind: "TokenRequest",
    apiVersion: "authentication.k8s.io/v1",
    metadata: { name: info.name, namespace: info.namespace, creationTimestamp: nowText(parts.clock) },
    spec: { ...spec, audiences, expirationSeconds, boundObjectRef: spec.boundObjectRef ?? null },
    status: { token, expirationTimestamp },
  });
}

/**
 * Throws 400 for values of wrong types. If `expirationSeconds` were a text, JavaScript would append it to the time as
 * text, and the token would never expire.
 */
function checkTokenTypes(spec: unknown): void {
  const where = "TokenRequest.spec";
  checkTypes(spec, { audiences: "texts", expirationSeconds: "integer", boundObjectRef: "object" }, where);
  const { boundObjectRef } = spec as { readonly boundObjectRef?: unknown };
  const texts = { apiVersion: "text", kind: "text", name: "text", uid: "text" } as const;
  checkTypes(boundObjectRef ?? {}, texts, `${where}.boundObjectRef`);
}

/**
 * Checks a node's request for a token, as NodeRestriction does. The token must be for a pod on the node, and for an
 * audience whose tokens the pod mounts.
 */
function checkNodesToken(
  parts: ServerParts,
  { user, info }: ResourceContext,
  { bound, node }: ReturnType<typeof boundObject>,
  audiences: readonly string[],
): void {
  const requester = nodeNameOf(user);
  if (requester === undefined) return;
  const fault =
    bound?.kind !== "Pod"
      ? "node requested token not bound to a pod"
      : node?.name !== requester
        ? "node requested token bound to a pod scheduled on a different node"
        : audienceFault(parts.store.get("/pods", info.namespace, bound.name)?.object, audiences);
  if (fault === undefined) return;
  throw new ApiError(403, "Forbidden", `serviceaccounts "${info.name}" is forbidden: ${fault}`);
}

/** Why a pod's node may not get a token with this audience. An empty audience means the API server. */
function audienceFault(pod: Pod | undefined, [audience = "", ...more]: readonly string[]): string | undefined {
  if (more.length > 0) return "node may only request 0 or 1 audiences";
  const isMounted = (pod?.spec?.volumes ?? []).some(({ projected }) =>
    projected?.sources?.some(
      ({ serviceAccountToken }) =>
        serviceAccountToken !== undefined && (serviceAccountToken.audience ?? "") === audience,
    ),
  );
  return isMounted ? undefined : `audience "${audience}" not found in pod spec volume`;
}

interface BoundReference {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly name?: string;
  readonly uid?: string;
}

const boundPlurals = { Pod: "pods", Secret: "secrets", Node: "nodes" } as const;

function isBoundKind(kind: string): kind is keyof typeof boundPlurals {
  return Object.hasOwn(boundPlurals, kind);
}

function boundObject(
  parts: ServerParts,
  { namespace, name: serviceAccount }: { readonly namespace: string; readonly name: string },
  reference: BoundReference | null | undefined,
): Pick<TokenRequest, "bound" | "node"> {
  if (reference === undefined || reference === null) return {};
  const { apiVersion = "", kind = "", name = "", uid } = reference;
  if (apiVersion.includes("/") || !isBoundKind(kind))
    throw badRequest(
      `cannot bind token to object of type ${apiVersion.includes("/") ? "" : "/"}${apiVersion}, Kind=${kind}`,
    );
  const plural = boundPlurals[kind];
  const found = parts.store.get(`/${plural}`, kind === "Node" ? "" : namespace, name);
  if (found === undefined) throw notFound({ group: "", plural }, name);
  if (uid !== undefined && uid !== "" && uid !== found.uid)
    throw conflict(
      { group: "", plural: kind },
      name,
      `the UID in the bound object reference (${uid}) does not match the UID in record (${found.uid}). The object might have been deleted and then recreated`,
    );
  const pod = kind === "Pod" ? (found.object["spec"] as { nodeName?: string; serviceAccountName?: string }) : {};
  // Without this check, an account could get a token that names a node on which the account has no pod.
  if (kind === "Pod" && pod.serviceAccountName !== serviceAccount)
    throw badRequest(
      `cannot bind token for serviceaccount "${serviceAccount}" to pod running with different serviceaccount name.`,
    );
  const bound = { kind, name, uid: found.uid };
  const nodeName = pod.nodeName ?? "";
  if (nodeName === "") return { bound };
  const nodeUid = parts.store.get("/nodes", "", nodeName)?.uid;
  return { bound, node: { name: nodeName, ...(nodeUid === undefined ? {} : { uid: nodeUid }) } };
}

import type { UntypedObject } from "../../api/index.ts";
import { messageOf, rfc3339Seconds, type Clock } from "../../base/index.ts";
import { readCertificateRequest } from "../auth/certificate-request.ts";
import type { Authorizer } from "../auth/index.ts";
import type { AdmissionPlugin } from "./chain.ts";
import { AdmissionRefusal, forbidden, nameOf, subjectOf, type AdmissionRequest } from "./request.ts";

const group = "certificates.k8s.io";
const plural = "certificatesigningrequests";
const clientSigner = "kubernetes.io/kube-apiserver-client";
const decisions = ["Approved", "Denied"];

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly lastUpdateTime?: string | null;
  readonly lastTransitionTime?: string | null;
}

interface Fields {
  readonly spec?: { readonly signerName?: string; readonly request?: string };
  readonly status?: { readonly certificate?: string; readonly conditions?: readonly Condition[] | null };
}

/**
 * Writes the requester into CertificateSigningRequests, and checks rights by signer: only users with the right
 * `approve` for a signer may approve or deny its requests, and only users with the right `sign` may issue its
 * certificates.
 */
export function certificateRequests(authorizer: Authorizer, clock: Clock): AdmissionPlugin {
  return {
    name: "CertificateRequests",
    mutate(request) {
      const { object, operation, subresource } = request;
      if (!isCertificateRequest(request) || object === undefined) return;
      if (operation === "CREATE") object["spec"] = withRequester(object["spec"], request);
      else if (operation === "UPDATE" && subresource === "approval") dateConditions(object, request.oldObject, clock);
      else if (operation === "UPDATE" && subresource === "status") keepDecisions(object, request.oldObject);
    },
    validate(request) {
      if (!isCertificateRequest(request) || request.object === undefined) return;
      if (request.operation === "CREATE") return checkRequest(request);
      if (request.operation !== "UPDATE") return;
      if (request.subresource === "approval") {
        checkRight(request, authorizer, "approve");
        checkDecisions(request);
      } else if (request.subresource === "status") checkRight(request, authorizer, "sign");
    },
  };
}

function isCertificateRequest({ type }: AdmissionRequest): boolean {
  return type.group === group && type.plural === plural;
}

/** Replaces what the client claims about the requester. Removes fields that the requester does not have. */
function withRequester(spec: unknown, { user }: AdmissionRequest): object {
  const { uid: _uid, extra: _extra, ...rest } = (spec ?? {}) as { readonly uid?: unknown; readonly extra?: unknown };
  return {
    ...rest,
    username: user.name,
    ...(user.uid === undefined ? {} : { uid: user.uid }),
    groups: user.groups,
    ...(user.extra === undefined ? {} : { extra: user.extra }),
  };
}

function conditionsOf(object: UntypedObject | undefined): readonly Condition[] {
  return (object as Fields | undefined)?.status?.conditions ?? [];
}

function dateConditions(object: UntypedObject, old: UntypedObject | undefined, clock: Clock): void {
  const now = rfc3339Seconds(clock.nowMs());
  const conditions = conditionsOf(object).map((condition) => {
    const before = conditionsOf(old).find(({ type }) => type === condition.type);
    const isSame = before?.status === condition.status;
    return {
      ...condition,
      lastUpdateTime: condition.lastUpdateTime ?? now,
      lastTransitionTime: condition.lastTransitionTime ?? (isSame ? (before.lastTransitionTime ?? now) : now),
    };
  });
  object["status"] = { ...(object as Fields).status, conditions };
}

/** Restores the old decisions, because a signer cannot change an approver's decision. */
function keepDecisions(object: UntypedObject, old: UntypedObject | undefined): void {
  const isDecision = ({ type }: Condition): boolean => decisions.includes(type);
  const conditions = [
    ...conditionsOf(old).filter(isDecision),
    ...conditionsOf(object).filter((condition) => !isDecision(condition)),
  ];
  object["status"] = { ...(object as Fields).status, ...(conditions.length === 0 ? {} : { conditions }) };
}

function checkRequest(request: AdmissionRequest): void {
  const { signerName, request: encoded = "" } = (request.object as Fields | undefined)?.spec ?? {};
  let organizations: readonly string[];
  try {
    ({ organizations } = readCertificateRequest(Buffer.from(encoded, "base64").toString("utf8")));
  } catch (error) {
    throw invalid(request, "spec.request", "Invalid value", `${JSON.stringify(encoded)}: ${messageOf(error)}`);
  }
  if (signerName === clientSigner && organizations.includes("system:masters"))
    throw forbidden(request, `use of ${clientSigner} signer with system:masters group is not allowed`);
}

function checkRight(request: AdmissionRequest, authorizer: Authorizer, verb: "approve" | "sign"): void {
  const signerName = (request.oldObject as Fields | undefined)?.spec?.signerName ?? "";
  const domain = signerName.split("/")[0] ?? "";
  const may = [signerName, `${domain}/*`].some(
    (name) =>
      authorizer.authorize(request.user, {
        verb,
        group,
        resource: "signers",
        subresource: "",
        namespace: "",
        name,
      }).allowed,
  );
  if (!may) throw forbidden(request, `user not permitted to ${verb} requests with signerName "${signerName}"`);
}

function checkDecisions(request: AdmissionRequest): void {
  const types = conditionsOf(request.object).map(({ type }) => type);
  if (decisions.every((type) => types.includes(type)))
    throw invalid(
      request,
      "status.conditions",
      "Invalid value",
      `${JSON.stringify(conditionsOf(request.object))}: Approved and Denied conditions are mutually exclusive`,
    );
  const removed = conditionsOf(request.oldObject).find(({ type }) => !types.includes(type));
  if (removed !== undefined)
    throw invalid(
      request,
      "status.conditions",
      "Forbidden",
      `updates may not remove a condition of type "${removed.type}"`,
    );
}

const faultReasons = { "Invalid value": "FieldValueInvalid", Forbidden: "FieldValueForbidden" } as const;

function invalid(
  request: AdmissionRequest,
  field: string,
  fault: keyof typeof faultReasons,
  detail: string,
): AdmissionRefusal {
  const message = `${fault}: ${detail}`;
  const text = `CertificateSigningRequest.${group} "${nameOf(request)}" is invalid: ${field}: ${message}`;
  const reason = faultReasons[fault];
  return new AdmissionRefusal(422, "Invalid", text, [{ reason, message, field }], {
    ...subjectOf(request),
    kind: "CertificateSigningRequest",
  });
}

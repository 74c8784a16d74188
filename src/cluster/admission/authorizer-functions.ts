import type { CelFunc, CelInput, CelMap } from "@bufbuild/cel";
import type { CelLibrary } from "../../base/cel/index.ts";
import type { AccessAttributes, Authorizer, User } from "../auth/index.ts";
import { tagged, textField } from "../schema/crd/cel/kubernetes-functions.ts";
import { nameOf, type AdmissionRequest } from "./request.ts";

/**
 * The attributes of an access check in CEL. An expression sets them one after another, as in
 * `authorizer.group("apps").resource("deployments")`, before it calls `check`.
 */
type Attribute = Exclude<keyof AccessAttributes, "verb">;

const attributes: readonly Attribute[] = ["group", "resource", "subresource", "namespace", "name", "path"];

/** The CEL variable `authorizer`, through which an expression asks for the rights of the request's user. */
export function authorizerValue(request: AdmissionRequest): ReadonlyMap<string, CelInput> {
  const { user, type, subresource, namespace } = request;
  const own = { group: type.group, resource: type.plural, subresource, namespace, name: nameOf(request) };
  return tagged("authorizer", { user: JSON.stringify(user), requestResource: checkOf(user, own) });
}

/** The functions on `authorizer` and its checks (kubernetes.io/docs/reference/using-api/cel, Kubernetes authorizer). */
export function authorizerFunctions(
  { celMethod, mapType, CelScalar }: CelLibrary,
  authorizer: Authorizer,
): readonly CelFunc[] {
  const { STRING, BOOL, DYN } = CelScalar;
  const map = mapType(DYN, DYN);
  const userIn = (value: CelMap, type: string): User => JSON.parse(textField(value, type, "user")) as User;
  const begin = (name: "group" | "path"): CelFunc =>
    celMethod(name, map, [STRING], map, function (text) {
      return checkOf(userIn(this, "authorizer"), { [name]: text });
    });
  const extend = (name: Attribute): CelFunc =>
    celMethod(name, map, [STRING], map, function (text) {
      return checkOf(userIn(this, "check"), { ...attributesIn(this), [name]: text });
    });
  const read = (name: "reason" | "error"): CelFunc =>
    celMethod(name, map, [], STRING, function () {
      return textField(this, "decision", name);
    });
  return [
    begin("group"),
    begin("path"),
    celMethod("serviceAccount", map, [STRING, STRING], map, function (namespace, name) {
      textField(this, "authorizer", "user");
      const groups = ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"];
      return tagged("authorizer", {
        user: JSON.stringify({ name: `system:serviceaccount:${namespace}:${name}`, groups }),
      });
    }),
    extend("resource"),
    extend("subresource"),
    extend("namespace"),
    extend("name"),
    // RBAC ignores selectors, so these functions change no answer.
    ...["fieldSelector", "labelSelector"].map((name) =>
      celMethod(name, map, [STRING], map, function () {
        return checkOf(userIn(this, "check"), attributesIn(this));
      }),
    ),
    celMethod("check", map, [STRING], map, function (verb) {
      const { path, ...asked } = attributesIn(this);
      const all = { verb, ...asked, ...(path === "" ? {} : { path }) };
      const { allowed, reason } = authorizer.authorize(userIn(this, "check"), all);
      return tagged("decision", { allowed: String(allowed), reason, error: "" });
    }),
    celMethod("allowed", map, [], BOOL, function () {
      return textField(this, "decision", "allowed") === "true";
    }),
    celMethod("errored", map, [], BOOL, function () {
      return textField(this, "decision", "error") !== "";
    }),
    read("reason"),
    read("error"),
  ];
}

function checkOf(user: User, given: Partial<Record<Attribute, string>>): ReadonlyMap<string, CelInput> {
  const fields = attributes.map((name) => [name, given[name] ?? ""] as const);
  return tagged("check", { user: JSON.stringify(user), ...Object.fromEntries(fields) });
}

function attributesIn(check: CelMap): Record<Attribute, string> {
  return Object.fromEntries(attributes.map((name) => [name, textField(check, "check", name)])) as Record<
    Attribute,
    string
  >;
}

import { jsonEqual, ownField, stringOf } from "../../../base/index.ts";
import { arrayOf, isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import { fieldErrors } from "../field-error.ts";
import type { Check } from "./check.ts";
import type { KindValidators } from "./kind-validator.ts";
import { limitRange } from "./limit-range.ts";
import { checkConfigKey } from "../names.ts";
import { validateTaints } from "./pod-placement.ts";
import { resourceQuota } from "./resource-quota.ts";

const dataMaxBytes = 1024 * 1024;

function dataKeys(value: unknown, path: string, check: Check): number {
  let bytes = 0;
  for (const [key, text] of Object.entries(objectOf(value))) {
    check.follows(`${path}[${key}]`, key, checkConfigKey);
    bytes += Buffer.byteLength(stringOf(text));
  }
  return bytes;
}

function immutableData(object: JsonObject, old: JsonObject | undefined, fields: readonly string[], check: Check): void {
  if (old?.immutable !== true) return;
  if (object.immutable !== true) check.forbidden("immutable", "field is immutable when `immutable` is set");
  for (const field of fields)
    if (!jsonEqual(object[field] ?? {}, old[field] ?? {}))
      check.forbidden(field, "field is immutable when `immutable` is set");
}

function configMap(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const bytes = dataKeys(object.data, "data", check) + dataKeys(object.binaryData, "binaryData", check);
  for (const key of Object.keys(objectOf(object.binaryData)))
    if (Object.hasOwn(objectOf(object.data), key))
      check.invalid(`data[${key}]`, key, "duplicate of key present in binaryData");
  if (bytes > dataMaxBytes) check.add(fieldErrors.tooLong("", dataMaxBytes));
  immutableData(object, old, ["data", "binaryData"], check);
}

const secretKeys: Readonly<Record<string, readonly string[]>> = {
  "kubernetes.io/tls": ["tls.crt", "tls.key"],
  "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
  "kubernetes.io/dockercfg": [".dockercfg"],
  "kubernetes.io/ssh-auth": ["ssh-privatekey"],
};

const accountAnnotation = "kubernetes.io/service-account.name";

function validateSecretType(object: JsonObject, check: Check): void {
  const data = objectOf(object.data);
  const type = stringOf(object.type);
  for (const key of ownField(secretKeys, type) ?? []) {
    if (data[key] === undefined) check.required(`data[${key}]`);
    else if (key.startsWith(".docker") && !isJson(stringOf(data[key])))
      check.invalid(`data[${key}]`, "<secret contents redacted>", "must be JSON");
  }
  const login = ["username", "password"];
  if (type === "kubernetes.io/basic-auth" && login.every((key) => data[key] === undefined))
    for (const key of login) check.required(`data[${key}]`);
  const account = objectOf(objectOf(object.metadata).annotations)[accountAnnotation];
  if (type === "kubernetes.io/service-account-token" && stringOf(account) === "")
    check.required(`metadata.annotations[${accountAnnotation}]`);
}

function isJson(base64: string): boolean {
  try {
    return typeof JSON.parse(Buffer.from(base64, "base64").toString("utf8")) === "object";
  } catch {
    return false;
  }
}

function secret(object: JsonObject, old: JsonObject | undefined, check: Check): void {
  const bytes = (dataKeys(object.data, "data", check) * 3) / 4;
  if (bytes > dataMaxBytes) check.add(fieldErrors.tooLong("data", dataMaxBytes));
  validateSecretType(object, check);
  if (old !== undefined) check.immutable("type", object.type, old.type);
  immutableData(object, old, ["data"], check);
}

function namespace(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  for (const [at, finalizer] of withPaths(arrayOf(objectOf(object.spec).finalizers), "spec.finalizers")) {
    const name = stringOf(finalizer);
    if (!name.includes("/") && name !== "kubernetes")
      check.invalid(at, name, "name is neither a standard finalizer name nor is it fully qualified");
  }
}

function node(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  validateTaints(arrayOf(objectOf(object.spec).taints), "metadata.taints", check);
}

function event(object: JsonObject, _old: JsonObject | undefined, check: Check): void {
  const target = objectOf(object.involvedObject ?? object.regarding);
  const namespace = stringOf(objectOf(object.metadata).namespace);
  const expected = stringOf(target.namespace) || "default";
  if (isObject(object.metadata) && namespace !== expected)
    check.invalid("involvedObject.namespace", target.namespace, "does not match event.namespace");
}

export const coreValidators: KindValidators = {
  "/configmaps": configMap,
  "/secrets": secret,
  "/namespaces": namespace,
  "/nodes": node,
  "/events": event,
  "/limitranges": limitRange,
  "/resourcequotas": resourceQuota,
};

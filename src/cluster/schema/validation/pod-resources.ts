import { ownField, stringOf } from "../../../base/index.ts";
import { arrayOf, isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import { checkQualifiedName } from "../names.ts";
import { ofWholePod, podAmounts } from "../pod-amounts.ts";
import { compareQuantities, parseQuantity, quantityText } from "../quantity.ts";
import type { Check } from "./check.ts";

const wholeNanos = 1_000_000_000n;
const forContainers = new Set(["cpu", "memory", "ephemeral-storage"]);
/** Resources that only quotas or volumes can have. */
const standard =
  /^(?:pods|resourcequotas|services|replicationcontrollers|secrets|configmaps|persistentvolumeclaims|storage|(?:requests|limits)\.(?:cpu|memory|ephemeral-storage)|requests\.storage|services\.(?:nodeports|loadbalancers)|requests\.hugepages-.*)$/;
const isHuge = (name: string): boolean => name.startsWith("hugepages-");
const isNative = (name: string): boolean => !name.includes("/") || name.includes("kubernetes.io/");
/** Whether a container's limit for the resource may be higher than its request. */
const mayExceed = (name: string): boolean => isNative(name) && !isHuge(name);

/** Why a container cannot have a resource with this name. The list is empty if it can. */
export function containerResourceProblems(name: string): string[] {
  const problems = checkQualifiedName(name);
  if (problems.length > 0) return problems;
  if (!name.includes("/")) {
    if (forContainers.has(name) || isHuge(name)) return [];
    const found = ["must be a standard resource for containers"];
    return standard.test(name) ? found : ["must be a standard resource type or fully qualified", ...found];
  }
  const isExtended = !name.startsWith("requests.") && checkQualifiedName(`requests.${name}`).length === 0;
  return isNative(name) || isExtended ? [] : ["doesn't follow extended resource name standard"];
}

export function validateContainerResources(resources: JsonObject, path: string, check: Check): void {
  validateResources(resources, path, check, (name, at) => {
    check.follows(at, name, containerResourceProblems);
  });
}

type NameCheck = (name: string, at: string) => void;

function validateResources(resources: JsonObject, path: string, check: Check, checkName: NameCheck): void {
  const [limits, requests] = [objectOf(resources.limits), objectOf(resources.requests)];
  for (const [field, values] of Object.entries({ limits, requests })) {
    for (const [name, value] of Object.entries(values)) {
      const at = `${path}.${field}[${name}]`;
      checkName(name, at);
      const nanos = parseQuantity(stringOf(value))?.nanos ?? 0n;
      if (nanos < 0n) check.invalid(at, value, "must be greater than or equal to 0");
      if (!isNative(name) && nanos % wholeNanos !== 0n) check.invalid(at, value, "must be an integer");
      if (isHuge(name)) validateHugePages(name, nanos, value, at, check);
    }
  }
  for (const [name, value] of Object.entries(requests)) {
    const text = stringOf(ownField(limits, name));
    const [request, limit] = [parseQuantity(stringOf(value)), parseQuantity(text)];
    if (limit === undefined) {
      if (!mayExceed(name)) check.required(`${path}.limits`, "Limit must be set for non overcommitable resources");
    } else if (request !== undefined && !mayExceed(name) && compareQuantities(request, limit) !== 0)
      check.invalid(`${path}.requests`, value, `must be equal to ${name} limit of ${text}`);
    else if (request !== undefined && compareQuantities(request, limit) > 0)
      check.invalid(`${path}.requests`, value, `must be less than or equal to ${name} limit of ${text}`);
  }
  const names = [...Object.keys(limits), ...Object.keys(requests)];
  if (names.some(isHuge) && !names.includes("cpu") && !names.includes("memory"))
    check.forbidden(path, "HugePages require cpu or memory");
}

function validateHugePages(name: string, nanos: bigint, value: unknown, at: string, check: Check): void {
  const size = parseQuantity(name.slice("hugepages-".length))?.nanos ?? 0n;
  if (size <= 0n || nanos % size !== 0n)
    check.invalid(at, value, `${stringOf(value)} is not positive integer multiple of ${name}`);
}

/** Validates the resources of a whole pod. The sum of its containers' requests may not exceed them. */
export function validateWholePodResources(spec: JsonObject, path: string, check: Check): void {
  const { resources } = spec;
  if (!isObject(resources)) return;
  const at = `${path}.resources`;
  if (resources.claims !== undefined)
    check.forbidden(`${at}.claims`, "claims may not be set for Resources at pod-level");
  validateResources(resources, at, check, (name, place) => {
    const isNamed = check.follows(place, name, checkQualifiedName);
    if (isNamed && !ofWholePod.test(name)) check.oneOf(place, name, ["cpu", "hugepages-", "memory"]);
  });
  const requests = objectOf(resources.requests);
  for (const [name, amount] of podAmounts({ ...spec, resources: undefined }, "requests")) {
    const text = stringOf(ownField(requests, name));
    const whole = parseQuantity(text);
    if (whole !== undefined && compareQuantities(amount, whole) > 0)
      check.invalid(
        `${at}.requests[${name}]`,
        text,
        `must be greater than or equal to aggregate container requests of ${quantityText(amount)}`,
      );
  }
  validateContainerLimits(arrayOf(spec.containers), objectOf(resources.limits), at, check);
}

function validateContainerLimits(containers: readonly unknown[], limits: JsonObject, at: string, check: Check): void {
  for (const [place, container] of withPaths(containers, `${at}.containers`)) {
    for (const [name, value] of Object.entries(objectOf(objectOf(objectOf(container).resources).limits))) {
      const text = stringOf(ownField(limits, name));
      const [own, whole] = [parseQuantity(stringOf(value)), parseQuantity(text)];
      if (own !== undefined && whole !== undefined && compareQuantities(own, whole) > 0)
        check.invalid(`${place}[${name}].limits`, value, `must be less than or equal to pod limits of ${text}`);
    }
  }
}

/** Validates `resizePolicy`, which says for which resources a resize restarts the container. */
export function validateResizePolicy(policies: readonly unknown[], path: string, check: Check, spec: JsonObject): void {
  for (const raw of policies) {
    const { resourceName, restartPolicy } = objectOf(raw);
    check.oneOf(path, resourceName, ["cpu", "memory"]);
    check.oneOf(path, restartPolicy, ["NotRequired", "RestartContainer"]);
    if (spec.restartPolicy === "Never" && restartPolicy !== "NotRequired")
      check.invalid(path, restartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
  }
}

import {
  checkKind,
  type Canary,
  type CanaryTarget,
  type CheckType,
  type ObjectReference,
  type RouteTarget,
} from "../../api/serin/index.ts";
import { groupVersionOf } from "../../api/index.ts";
import type { CheckSubject, PlannedCheck, Write } from "../decide/index.ts";

export interface AccessQuestion {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly subresource?: string;
  /** Absent for objects of the whole cluster. */
  readonly namespace?: string;
  readonly name?: string;
}

/** Kinds whose objects make pods from a template. */
const podMakers: ReadonlySet<string> = new Set([
  "deployments",
  "statefulsets",
  "daemonsets",
  "replicasets",
  "jobs",
  "cronjobs",
]);
const rbacGroup = "rbac.authorization.k8s.io";

/** The rights that a plan's author needs for its writes, without repetition. */
export function questionsOfWrites(writes: readonly Write[]): readonly AccessQuestion[] {
  return distinct(writes.flatMap(questionsOf));
}

function questionsOf(write: Write): AccessQuestion[] {
  const { object } = write;
  if (write.type === "delete") return [about("delete", object)];
  const verb = write.type === "create" ? "create" : "patch";
  const templates = write.type === "create" || /^\/spec\/(?:template|jobTemplate)(?:\/|$)/.test(write.pointer);
  return [
    about(verb, object),
    ...(podMakers.has(object.plural) && templates ? [podsIn(object.namespace)] : []),
    ...grantsOf(object),
  ];
}

/**
 * Roles grant rights. The API server lets a user write a role only with rights that the user has, unless the user has
 * the verb `escalate` or `bind` for it. The engine has both verbs, so the author of such a write must have them too.
 */
function grantsOf(object: ObjectReference): AccessQuestion[] {
  if (groupVersionOf(object.apiVersion).group !== rbacGroup) return [];
  const isBinding = object.plural.endsWith("bindings");
  const resource = object.plural.startsWith("cluster") || isBinding ? "clusterroles" : "roles";
  return [
    {
      verb: isBinding ? "bind" : "escalate",
      group: rbacGroup,
      resource,
      ...(resource === "roles" && object.namespace !== undefined ? { namespace: object.namespace } : {}),
    },
  ];
}

function podsIn(namespace: string | undefined): AccessQuestion {
  return { verb: "create", group: "", resource: "pods", ...(namespace === undefined ? {} : { namespace }) };
}

/** The rights that a Canary certainly needs of its author, judged by its spec alone. */
export function questionsOfCanary(canary: Canary): readonly AccessQuestion[] {
  const own = canary.metadata.namespace ?? "";
  const { target } = canary.spec;
  const namespaces = readsOfTarget(target, own).flatMap(({ namespace }) => namespace ?? []);
  const ofPods = checksIn(canary).flatMap(({ type, ref }) =>
    ref === undefined ? namespaces.flatMap((namespace) => readsOfType(type, namespace)) : [],
  );
  return distinct([...questionsOfTarget(target, own), ...readsOfCanary(canary), ...ofPods]);
}

/**
 * The reads of objects that a Canary names and does not write. The Canary's status reveals something about them, so its
 * author must have the right to read them.
 */
export function readsOfCanary(canary: Canary): readonly AccessQuestion[] {
  const own = canary.metadata.namespace ?? "";
  const checks = checksIn(canary).flatMap(({ ref }) =>
    ref?.namespace === undefined || ref.namespace === own ? [] : [getCheck(ref.name, ref.namespace)],
  );
  return distinct([...readsOfTarget(canary.spec.target, own), ...checks]);
}

/**
 * The reads of pods and of their logs that planned checks do. The checks' results reveal the health of pods and lines
 * of their logs.
 */
export function readsOfChecks(checks: readonly PlannedCheck[]): readonly AccessQuestion[] {
  return distinct(
    checks.flatMap(({ spec, subject }) =>
      namespacesOf(subject).flatMap((namespace) => readsOfType(spec.type, namespace)),
    ),
  );
}

function checksIn({ spec }: Canary): Canary["spec"]["checks"] {
  return [...spec.checks, ...spec.steps.flatMap(({ checks }) => checks)];
}

/** The namespaces whose pods a check of this subject reads. Undefined stands for the whole cluster. */
function namespacesOf(subject: CheckSubject): readonly (string | undefined)[] {
  switch (subject.type) {
    case "backends":
      return [subject.canary.namespace, subject.stable.namespace];
    case "gatewayRevisions":
      return [subject.gateway.namespace];
    case "revisions":
      return subject.namespaces.length === 0 ? [undefined] : subject.namespaces;
    case "mesh":
    case "probes":
    case "proxies":
      return [undefined];
  }
}

function readsOfType(type: CheckType, namespace: string | undefined): AccessQuestion[] {
  const pods = { group: "", resource: "pods", ...(namespace === undefined ? {} : { namespace }) };
  if (type === "error-log-rate") return [{ verb: "get", ...pods, subresource: "log" }];
  if (type === "pod-health" || type === "restarts") return [{ verb: "list", ...pods }];
  return [];
}

function getCheck(name: string, namespace: string): AccessQuestion {
  return { verb: "get", group: checkKind.group, resource: checkKind.plural, namespace, name };
}

function readsOfTarget(target: CanaryTarget, own: string): readonly AccessQuestion[] {
  if ("httpRoute" in target) return backendsOf(target.httpRoute, own);
  if ("grpcRoute" in target) return backendsOf(target.grpcRoute, own);
  if ("virtualService" in target) {
    const { namespace = own, stable, canary } = target.virtualService;
    return [stable, canary].flatMap(({ host }) => serviceOfHost(host, namespace));
  }
  if ("services" in target) {
    const { service, stable, canary } = target.services;
    return [service, stable, canary].map((name) => getService(name, own));
  }
  // A target of namespaces compares the Services of whole namespaces.
  if ("namespaces" in target)
    return [target.namespaces.stable, target.namespaces.canary].map((namespace) => getService(undefined, namespace));
  return [getService(target.deployment.service, own)];
}

function backendsOf({ namespace, stable, canary }: RouteTarget, own: string): AccessQuestion[] {
  // A backend without a namespace is in the namespace of its route.
  return [stable, canary].map((backend) => getService(backend.name, backend.namespace ?? namespace ?? own));
}

/** A host with dots does not name a Service, unless it is a Service's full name. */
function serviceOfHost(host: string, own: string): AccessQuestion[] {
  const [, name, namespace] = /^([^.]+)(?:\.([^.]+)\.svc(?:\..+)?)?$/.exec(host) ?? [];
  return name === undefined ? [] : [getService(name, namespace ?? own)];
}

function getService(name: string | undefined, namespace: string): AccessQuestion {
  return { verb: "get", group: "", resource: "services", namespace, ...(name === undefined ? {} : { name }) };
}

const routes = {
  HTTPRoute: { group: "gateway.networking.k8s.io", resource: "httproutes" },
  GRPCRoute: { group: "gateway.networking.k8s.io", resource: "grpcroutes" },
  VirtualService: { group: "networking.istio.io", resource: "virtualservices" },
} as const;

function questionsOfTarget(target: CanaryTarget, own: string): readonly AccessQuestion[] {
  const changes = (kind: keyof typeof routes, name: string, namespace = own): AccessQuestion => ({
    verb: "patch",
    ...routes[kind],
    namespace,
    name,
  });
  if ("httpRoute" in target) return [changes("HTTPRoute", target.httpRoute.name, target.httpRoute.namespace)];
  if ("grpcRoute" in target) return [changes("GRPCRoute", target.grpcRoute.name, target.grpcRoute.namespace)];
  if ("virtualService" in target)
    return [changes("VirtualService", target.virtualService.name, target.virtualService.namespace)];
  if ("services" in target) return [{ verb: "create", ...routes[target.services.routes], namespace: own }];
  if ("namespaces" in target)
    return target.namespaces.routes.map(({ kind, name, namespace }) =>
      changes(kind, name, namespace ?? target.namespaces.stable),
    );
  const apps = { group: "apps", resource: "deployments", namespace: own } as const;
  return [
    { verb: "patch", ...apps, name: target.deployment.name },
    { verb: "create", ...apps },
    podsIn(own),
    { verb: "create", ...routes[target.deployment.routes], namespace: own },
  ];
}

function about(verb: string, object: ObjectReference): AccessQuestion {
  const { namespace, name, plural } = object;
  return {
    verb,
    group: groupVersionOf(object.apiVersion).group,
    resource: plural,
    ...(namespace === undefined ? {} : { namespace }),
    // For a creation, the API server checks rights without an object name.
    ...(verb === "create" ? {} : { name }),
  };
}

function distinct(questions: readonly AccessQuestion[]): readonly AccessQuestion[] {
  return [...new Map(questions.map((question) => [JSON.stringify(question), question])).values()];
}

/** Describes a question, such as `patch httproutes.gateway.networking.k8s.io shop/web`. */
export function describeQuestion({ verb, group, resource, subresource, namespace, name }: AccessQuestion): string {
  const target = subresource === undefined ? resource : `${resource}/${subresource}`;
  const kind = group === "" ? target : `${target}.${group}`;
  const place =
    name === undefined
      ? namespace === undefined
        ? ""
        : ` in namespace ${namespace}`
      : ` ${namespace === undefined ? "" : `${namespace}/`}${name}`;
  return `${verb} ${kind}${place}`;
}

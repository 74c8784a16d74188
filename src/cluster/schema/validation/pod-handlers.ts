import { stringOf } from "../../../base/index.ts";
import { arrayOf, isObject, objectOf, type JsonObject } from "../json.ts";
import type { Check } from "./check.ts";
import { validatePortOrName } from "./ports.ts";

const handlers = ["exec", "httpGet", "tcpSocket", "grpc", "sleep"] as const;
type Handler = (typeof handlers)[number];

type ActionValidator = (action: JsonObject, at: string, check: Check, graceSeconds: number) => void;

const validators: Readonly<Record<Handler, ActionValidator>> = {
  exec({ command }, at, check) {
    if (arrayOf(command).length === 0) check.required(`${at}.command`);
  },
  httpGet({ port, scheme, httpHeaders }, at, check) {
    validatePortOrName(port, `${at}.port`, check);
    check.oneOf(`${at}.scheme`, scheme, ["HTTP", "HTTPS"]);
    for (const header of arrayOf(httpHeaders)) {
      const name = stringOf(objectOf(header).name);
      if (!/^[-A-Za-z0-9]+$/.test(name))
        check.invalid(
          `${at}.httpHeaders`,
          name,
          "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
        );
    }
  },
  tcpSocket: ({ port }, at, check) => validatePortOrName(port, `${at}.port`, check),
  grpc: ({ port }, at, check) => check.port(`${at}.port`, port),
  sleep({ seconds }, at, check, graceSeconds) {
    const asked = Number(seconds ?? 0);
    if (asked < 0 || asked > graceSeconds)
      check.invalid(at, asked, `must be non-negative and less than terminationGracePeriodSeconds (${graceSeconds})`);
  },
};

function validateHandler(raw: JsonObject, path: string, check: Check, graceSeconds: number): void {
  const [first, ...more] = handlers.filter((handler) => raw[handler] !== undefined);
  if (first === undefined) return check.required(path, "must specify a handler type");
  validators[first](objectOf(raw[first]), `${path}.${first}`, check, graceSeconds);
  for (const handler of more) check.forbidden(`${path}.${handler}`, "may not specify more than 1 handler type");
}

const probes = ["livenessProbe", "readinessProbe", "startupProbe"];
const counts = ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
const onlyForSidecars = "may not be set for init containers without restartPolicy=Always";

/** Validates the probes and hooks of a container. Init containers may not have any, unless they are sidecars. */
export function validateHandlers(
  container: JsonObject,
  path: string,
  check: Check,
  { spec, isInit }: { readonly spec: JsonObject; readonly isInit: boolean },
): void {
  if (isInit && container.restartPolicy !== "Always") {
    for (const field of ["lifecycle", ...probes])
      if (container[field] !== undefined) check.forbidden(`${path}.${field}`, onlyForSidecars);
    return;
  }
  const graceSeconds = Number(spec.terminationGracePeriodSeconds ?? 30);
  if (isObject(container.lifecycle)) {
    for (const hook of ["postStart", "preStop"]) {
      const handler = container.lifecycle[hook];
      if (isObject(handler)) validateHandler(handler, `${path}.lifecycle.${hook}`, check, graceSeconds);
    }
  }
  for (const kind of probes) validateProbe(container[kind], `${path}.${kind}`, kind, check);
}

function validateProbe(raw: unknown, path: string, kind: string, check: Check): void {
  if (!isObject(raw)) return;
  validateHandler(raw, path, check, Number.POSITIVE_INFINITY);
  for (const field of counts) check.nonNegative(`${path}.${field}`, raw[field]);
  const grace = raw.terminationGracePeriodSeconds;
  if (typeof grace === "number" && kind !== "readinessProbe" && grace <= 0)
    check.invalid(`${path}.terminationGracePeriodSeconds`, grace, "must be greater than 0");
  if (kind === "readinessProbe" && grace !== undefined)
    check.invalid(`${path}.terminationGracePeriodSeconds`, grace, "must not be set for readinessProbes");
  if (kind !== "readinessProbe" && raw.successThreshold !== undefined && raw.successThreshold !== 1)
    check.invalid(`${path}.successThreshold`, raw.successThreshold, "must be 1");
}

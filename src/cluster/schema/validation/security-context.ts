import { stringOf } from "../../../base/index.ts";
import { arrayOf, isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import type { Check } from "./check.ts";
import { validateDescendingPath } from "./pod-mounts.ts";

const maxId = 2 ** 31 - 1;
const sysctlName = /^(?:[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9](?:[-_a-z0-9]*[a-z0-9])?$/;
const sysctlMaxLength = 253;
const ofNetwork = /^net[./]/;
const ofIpc = /^(?:kernel[./](?:sem$|shm|msg)|fs[./]mqueue[./])/;

function validateId(id: unknown, at: string, check: Check): void {
  if (typeof id === "number" && (id < 0 || id > maxId))
    check.invalid(at, id, `must be between 0 and ${maxId}, inclusive`);
}

export function validateContainerSecurity(raw: unknown, path: string, check: Check, isInUserNamespace: boolean): void {
  if (!isObject(raw)) return;
  for (const field of ["runAsUser", "runAsGroup"]) validateId(raw[field], `${path}.${field}`, check);
  check.oneOf(`${path}.procMount`, raw.procMount, ["Default", "Unmasked"]);
  if (raw.procMount === "Unmasked" && !isInUserNamespace)
    check.invalid(`${path}.procMount`, raw.procMount, "`hostUsers` must be false to use `Unmasked`");
  validateProfiles(raw, path, check);
  if (raw.allowPrivilegeEscalation !== false) return;
  if (raw.privileged === true)
    check.invalid(path, raw, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
  if (arrayOf(objectOf(raw.capabilities).add).includes("CAP_SYS_ADMIN"))
    check.invalid(path, raw, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
}

export function validatePodSecurity(spec: JsonObject, path: string, check: Check): void {
  if (spec.shareProcessNamespace === true && spec.hostPID === true)
    check.invalid(
      `${path}.securityContext.shareProcessNamespace`,
      true,
      "ShareProcessNamespace and HostPID cannot both be enabled",
    );
  if (spec.hostUsers === false) {
    for (const field of ["hostPID", "hostIPC"])
      if (spec[field] === true) check.forbidden(`${path}.${field.replace("h", "H")}`, "when `hostUsers` is false");
    if (spec.hostNetwork === true) check.forbidden(`${path}.hostNetwork`, "when `hostUsers` is false");
  }
  const raw = spec.securityContext;
  if (!isObject(raw)) return;
  const at = `${path}.securityContext`;
  for (const field of ["fsGroup", "runAsUser", "runAsGroup"]) validateId(raw[field], `${at}.${field}`, check);
  for (const [place, group] of withPaths(arrayOf(raw.supplementalGroups), `${at}.supplementalGroups`))
    validateId(group, place, check);
  validateSysctls(arrayOf(raw.sysctls), spec, `${at}.sysctls`, check);
  check.oneOf(`${at}.fsGroupChangePolicy`, raw.fsGroupChangePolicy, ["Always", "OnRootMismatch"]);
  check.oneOf(`${at}.supplementalGroupsPolicy`, raw.supplementalGroupsPolicy, ["Merge", "Strict"]);
  check.oneOf(`${at}.seLinuxChangePolicy`, raw.seLinuxChangePolicy, ["Recursive"]);
  validateProfiles(raw, at, check);
}

function validateSysctls(sysctls: readonly unknown[], spec: JsonObject, path: string, check: Check): void {
  const names = new Set<string>();
  for (const [place, raw] of withPaths(sysctls, path)) {
    const at = `${place}.name`;
    const name = stringOf(objectOf(raw).name);
    if (name === "") check.required(at);
    else if (name.length > sysctlMaxLength || !sysctlName.test(name))
      check.invalid(
        at,
        name,
        `must have at most ${sysctlMaxLength} characters and match regex ^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`,
      );
    else check.unique(at, name, names);
    if (spec.hostNetwork === true && ofNetwork.test(name))
      check.invalid(at, name, "may not be specified when 'hostNetwork' is true");
    else if (spec.hostIPC === true && ofIpc.test(name))
      check.invalid(at, name, "may not be specified when 'hostIPC' is true");
  }
}

function validateProfiles({ seccompProfile, appArmorProfile }: JsonObject, at: string, check: Check): void {
  if (isObject(seccompProfile)) validateSeccomp(seccompProfile, `${at}.seccompProfile`, check);
  if (isObject(appArmorProfile)) validateAppArmor(appArmorProfile, `${at}.appArmorProfile`, check);
}

function validateSeccomp(profile: JsonObject, at: string, check: Check): void {
  const { type, localhostProfile } = profile;
  if (stringOf(type) === "") check.required(`${at}.type`, "type is required when seccompProfile is set");
  else check.oneOf(`${at}.type`, type, ["Localhost", "RuntimeDefault", "Unconfined"]);
  const field = `${at}.localhostProfile`;
  if (type === "Localhost") {
    if (localhostProfile === undefined) check.required(field, "must be set when seccomp type is Localhost");
    else validateDescendingPath(stringOf(localhostProfile), field, check);
  } else if (localhostProfile !== undefined)
    check.invalid(field, profile, "can only be set when seccomp type is Localhost");
}

function validateAppArmor({ type, localhostProfile }: JsonObject, at: string, check: Check): void {
  if (stringOf(type) === "") return check.required(`${at}.type`, "type is required when appArmorProfile is set");
  check.oneOf(`${at}.type`, type, ["Localhost", "RuntimeDefault", "Unconfined"]);
  const [field, name] = [`${at}.localhostProfile`, stringOf(localhostProfile)];
  if (type === "Localhost") {
    if (name.trim() !== name) check.invalid(field, name, "must not be padded with whitespace");
    else if (name === "") check.required(field, "must be set when AppArmor type is Localhost");
  } else if ((type === "RuntimeDefault" || type === "Unconfined") && localhostProfile !== undefined)
    check.invalid(field, localhostProfile, "can only be set when AppArmor type is Localhost");
}

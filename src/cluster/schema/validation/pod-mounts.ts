import { stringOf } from "../../../base/index.ts";
import { fieldErrors } from "../field-error.ts";
import { arrayOf, objectOf, withPaths, type JsonObject } from "../json.ts";
import type { Check } from "./check.ts";

export type Volumes = ReadonlyMap<string, JsonObject>;

export function validateDescendingPath(path: string, at: string, check: Check): void {
  if (path.startsWith("/")) check.invalid(at, path, "must be a relative path");
  if (path.split("/").includes("..")) check.invalid(at, path, "must not contain '..'");
}

/** Validates `volumeMounts` and `volumeDevices`. As in Kubernetes, some errors point to the whole list. */
export function validateMounts(container: JsonObject, path: string, volumes: Volumes, check: Check): void {
  const mounts = arrayOf(container.volumeMounts).map(objectOf);
  const devices = arrayOf(container.volumeDevices).map(objectOf);
  const ofDevices = claimsOf(devices.map(({ name, devicePath }) => [name, devicePath]));
  const ofMounts = claimsOf(mounts.map(({ name, mountPath }) => [name, mountPath]));
  const paths = new Set<string>();
  const list = `${path}.volumeMounts`;
  for (const [at, mount] of withPaths(mounts, list)) {
    const [name, mountPath] = [stringOf(mount.name), stringOf(mount.mountPath)];
    if (name === "") check.required(`${at}.name`);
    if (!volumes.has(name)) check.add(fieldErrors.notFound(`${at}.name`, name));
    if (mountPath === "") check.required(`${at}.mountPath`);
    if (paths.has(mountPath)) check.invalid(`${at}.mountPath`, mountPath, "must be unique");
    paths.add(mountPath);
    if (ofDevices.names.has(name)) check.invalid(`${at}.name`, name, "must not already exist in volumeDevices");
    if (ofDevices.paths.has(mountPath))
      check.invalid(`${at}.mountPath`, mountPath, "must not already exist as a path in volumeDevices");
    validateSubPaths(mount, at, list, check);
    validatePropagation(mount, container, list, check);
  }
  const ofEarlier = claimsOf([]);
  for (const [at, device] of withPaths(devices, `${path}.volumeDevices`)) {
    validateDevice(device, at, { earlier: ofEarlier, mounts: ofMounts, volumes }, check);
    ofEarlier.names.add(device.name);
    ofEarlier.paths.add(stringOf(device.devicePath));
  }
}

interface Claims {
  readonly names: Set<unknown>;
  readonly paths: Set<unknown>;
}

function claimsOf(entries: readonly (readonly [name: unknown, path: unknown])[]): Claims {
  return { names: new Set(entries.map(([name]) => name)), paths: new Set(entries.map(([, path]) => path)) };
}

function validateSubPaths(mount: JsonObject, at: string, list: string, check: Check): void {
  const [subPath, expression] = [stringOf(mount.subPath), stringOf(mount.subPathExpr)];
  if (subPath !== "") validateDescendingPath(subPath, `${list}.subPath`, check);
  if (expression === "") return;
  if (subPath !== "") check.invalid(`${at}.subPathExpr`, expression, "subPathExpr and subPath are mutually exclusive");
  validateDescendingPath(expression, `${list}.subPathExpr`, check);
}

function validatePropagation(mount: JsonObject, container: JsonObject, list: string, check: Check): void {
  const { mountPropagation, recursiveReadOnly } = mount;
  check.oneOf(`${list}.mountPropagation`, mountPropagation, ["Bidirectional", "HostToContainer", "None"]);
  if (mountPropagation === "Bidirectional" && objectOf(container.securityContext).privileged !== true)
    check.forbidden(
      `${list}.mountPropagation`,
      "Bidirectional mount propagation is available only to privileged containers",
    );
  check.oneOf(`${list}.recursiveReadOnly`, recursiveReadOnly, ["Disabled", "Enabled", "IfPossible"]);
  if (recursiveReadOnly !== "Enabled" && recursiveReadOnly !== "IfPossible") return;
  if (mount.readOnly !== true)
    check.forbidden(`${list}.recursiveReadOnly`, "may only be specified when readOnly is true");
  if (mountPropagation !== undefined && mountPropagation !== "None")
    check.forbidden(
      `${list}.recursiveReadOnly`,
      "may only be specified when mountPropagation is None or not specified",
    );
}

interface Neighbours {
  readonly earlier: Claims;
  readonly mounts: Claims;
  readonly volumes: Volumes;
}

function validateDevice(device: JsonObject, at: string, { earlier, mounts, volumes }: Neighbours, check: Check): void {
  const [name, devicePath] = [stringOf(device.name), stringOf(device.devicePath)];
  const volume = volumes.get(name);
  if (name === "") check.required(`${at}.name`);
  if (name !== "" && earlier.names.has(name)) check.invalid(`${at}.name`, name, "must be unique");
  if (volume === undefined) check.add(fieldErrors.notFound(`${at}.name`, name));
  else if (volume.persistentVolumeClaim === undefined && volume.ephemeral === undefined)
    check.invalid(
      `${at}.name`,
      name,
      "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
    );
  if (devicePath === "") check.required(`${at}.devicePath`);
  if (earlier.paths.has(devicePath)) check.invalid(`${at}.devicePath`, devicePath, "must be unique");
  if (devicePath.split("/").includes(".."))
    check.invalid(`${at}.devicePath`, devicePath, "can not contain backsteps ('..')");
  if (mounts.names.has(name)) check.invalid(`${at}.name`, name, "must not already exist in volumeMounts");
  if (mounts.paths.has(devicePath))
    check.invalid(`${at}.devicePath`, devicePath, "must not already exist as a path in volumeMounts");
}

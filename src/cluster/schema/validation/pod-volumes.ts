import { stringOf } from "../../../base/index.ts";
import { fieldErrors } from "../field-error.ts";
import { arrayOf, isObject, objectOf, withPaths, type JsonObject } from "../json.ts";
import { checkLabelName } from "../names.ts";
import { parseQuantity } from "../quantity.ts";
import type { Check } from "./check.ts";
import { validateClaimSpec } from "./storage.ts";
import { fieldsForFiles, validateAmountReference, validateFieldReference } from "./pod-environment.ts";
import type { Volumes } from "./pod-mounts.ts";

const hostPathTypes = [
  "",
  "BlockDevice",
  "CharDevice",
  "Directory",
  "DirectoryOrCreate",
  "File",
  "FileOrCreate",
  "Socket",
];
const modeMessage = "must be a number between 0 and 0777 (octal), both inclusive";
const tokenSeconds = { least: 600, most: 2 ** 32 };

/** Validates the volumes of a pod. Returns them by name. */
export function validateVolumes(volumes: readonly unknown[], path: string, check: Check): Volumes {
  const named = new Map<string, JsonObject>();
  for (const [at, raw] of withPaths(volumes, path)) {
    const volume = objectOf(raw);
    const name = stringOf(volume.name);
    if (name === "") check.required(`${at}.name`);
    else check.follows(`${at}.name`, name, checkLabelName);
    if (named.has(name)) check.add(fieldErrors.duplicate(`${at}.name`, name));
    named.set(name, volume);
    const sources = Object.keys(volume).filter((key) => key !== "name");
    if (sources.length === 0) check.required(at, "must specify a volume type");
    for (const source of sources.slice(1))
      check.forbidden(`${at}.${source}`, "may not specify more than 1 volume type");
    const [first = ""] = sources;
    validators[first]?.(objectOf(volume[first]), `${at}.${first}`, check);
  }
  return named;
}

type SourceValidator = (source: JsonObject, at: string, check: Check) => void;

const validators: Readonly<Record<string, SourceValidator>> = {
  emptyDir({ sizeLimit }, at, check) {
    if ((parseQuantity(stringOf(sizeLimit))?.nanos ?? 0n) < 0n)
      check.forbidden(`${at}.sizeLimit`, "SizeLimit field must be a valid resource quantity");
  },
  hostPath({ path, type }, at, check) {
    if (stringOf(path) === "") return check.required(`${at}.path`);
    if (stringOf(path).split("/").includes("..")) check.invalid(`${at}.path`, path, "must not contain '..'");
    check.oneOf(`${at}.type`, type, hostPathTypes);
  },
  secret(source, at, check) {
    if (stringOf(source.secretName) === "") check.required(`${at}.secretName`);
    validateItems(source, at, check);
  },
  configMap(source, at, check) {
    if (stringOf(source.name) === "") check.required(`${at}.name`);
    validateItems(source, at, check);
  },
  persistentVolumeClaim({ claimName }, at, check) {
    if (stringOf(claimName) === "") check.required(`${at}.claimName`);
  },
  downwardAPI(source, at, check) {
    validateMode(source.defaultMode, `${at}.defaultMode`, check);
    for (const item of arrayOf(source.items)) validatePodFile(objectOf(item), at, check);
  },
  projected(source, at, check) {
    validateMode(source.defaultMode, `${at}.defaultMode`, check);
    validateProjections(arrayOf(source.sources), at, check);
  },
  nfs({ server, path }, at, check) {
    if (stringOf(server) === "") check.required(`${at}.server`);
    if (stringOf(path) === "") check.required(`${at}.path`);
    if (!stringOf(path).startsWith("/")) check.invalid(`${at}.path`, path, "must be an absolute path");
  },
  csi({ driver }, at, check) {
    if (stringOf(driver) === "") check.required(`${at}.driver`);
  },
  image({ reference, pullPolicy }, at, check) {
    if (stringOf(reference) === "") check.required(`${at}.reference`);
    check.oneOf(`${at}.pullPolicy`, pullPolicy, ["Always", "IfNotPresent", "Never"]);
  },
  ephemeral({ volumeClaimTemplate }, at, check) {
    const field = `${at}.volumeClaimTemplate`;
    if (isObject(volumeClaimTemplate)) validateClaimSpec(objectOf(volumeClaimTemplate.spec), `${field}.spec`, check);
    else check.required(field);
  },
};

function validateItems(source: JsonObject, at: string, check: Check): void {
  validateMode(source.defaultMode, `${at}.defaultMode`, check);
  for (const [place, item] of withPaths(arrayOf(source.items), `${at}.items`))
    validateItem(objectOf(item), place, check);
}

function validateItem({ key, path, mode }: JsonObject, at: string, check: Check): void {
  if (stringOf(key) === "") check.required(`${at}.key`);
  validateFilePath(path, `${at}.path`, check);
  validateMode(mode, `${at}.mode`, check);
}

/** Validates a file of a downward API volume. As in Kubernetes, its errors point to the volume's source. */
function validatePodFile(file: JsonObject, at: string, check: Check): void {
  validateFilePath(file.path, `${at}.path`, check);
  if (isObject(file.fieldRef)) {
    validateFieldReference(file.fieldRef, fieldsForFiles, `${at}.fieldRef`, check);
    if (file.resourceFieldRef !== undefined)
      check.invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously");
  } else if (isObject(file.resourceFieldRef)) {
    if (stringOf(file.resourceFieldRef.containerName) === "") check.required(`${at}.resourceFieldRef.containerName`);
    else validateAmountReference(file.resourceFieldRef, `${at}.resourceFieldRef`, check);
  } else check.required(at, "one of fieldRef and resourceFieldRef is required");
  validateMode(file.mode, `${at}.mode`, check);
}

function validateProjections(projections: readonly unknown[], at: string, check: Check): void {
  const paths = new Set<string>();
  const addPath = (value: unknown, shown: unknown): void => {
    const path = stringOf(value);
    if (path !== "" && paths.has(path)) check.invalid(at, shown, "conflicting duplicate paths");
    paths.add(path);
  };
  for (const [place, raw] of withPaths(projections, `${at}.sources`)) {
    const projection = objectOf(raw);
    for (const source of ["secret", "configMap"]) {
      const given = projection[source];
      if (!isObject(given)) continue;
      if (stringOf(given.name) === "") check.required(`${place}.${source}.name`);
      validateItems({ items: given.items }, `${place}.${source}`, check);
      for (const item of arrayOf(given.items)) addPath(objectOf(item).path, stringOf(given.name));
    }
    for (const item of arrayOf(objectOf(projection.downwardAPI).items)) {
      validatePodFile(objectOf(item), `${place}.downwardAPI`, check);
      addPath(objectOf(item).path, objectOf(item).path);
    }
    if (isObject(projection.serviceAccountToken)) validateToken(projection.serviceAccountToken, place, at, check);
    if (Object.keys(projection).length > 1)
      check.forbidden(place, "may not specify more than 1 volume type per source");
  }
}

function validateToken(token: JsonObject, place: string, at: string, check: Check): void {
  const seconds = Number(token.expirationSeconds ?? tokenSeconds.least);
  const field = `${place}.serviceAccountToken.expirationSeconds`;
  if (seconds < tokenSeconds.least) check.invalid(field, seconds, "may not specify a duration less than 10 minutes");
  if (seconds > tokenSeconds.most) check.invalid(field, seconds, "may not specify a duration larger than 2^32 seconds");
  validateFilePath(token.path, `${at}.path`, check);
}

function validateMode(mode: unknown, at: string, check: Check): void {
  if (typeof mode === "number" && (mode < 0 || mode > 0o777)) check.invalid(at, mode, modeMessage);
}

/** Validates the path of a file in a volume. The node writes the file, so the path must not lead out of the volume. */
function validateFilePath(value: unknown, at: string, check: Check): void {
  const path = stringOf(value);
  if (path === "") return check.required(at);
  if (path.startsWith("/")) check.invalid(at, path, "must be a relative path");
  if (path.split("/").includes("..")) check.invalid(at, path, "must not contain '..'");
  else if (path.startsWith("..")) check.invalid(at, path, "must not start with '..'");
}

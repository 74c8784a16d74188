import { releaseInContainer, scriptDirectory } from "./container-paths.ts";

/**
 * The programs that may provide an applet, in order of preference. If the machine has none of them, a container uses
 * the release's own program.
 */
const providers = {
  // Use only busybox's httpd, because a program named httpd on a machine is usually Apache.
  httpd: ["busybox"],
  // Use no program of the machine, because nc differs: some lack -e, and Debian's busybox lacks -z.
  nc: [],
  // Do not use busybox: on some machines it resolves a name with a dot, such as web.shop, without the search list.
  nslookup: ["machine"],
  // Do not use busybox: Debian's supports neither TLS nor -T.
  wget: ["machine"],
} as const satisfies Readonly<Record<string, readonly ("machine" | "busybox")[]>>;

/** A program that busybox provides and machines often lack. */
export type AppletName = keyof typeof providers;
export const appletNames = Object.keys(providers) as readonly AppletName[];

const multiCallName = "busybox";
/** The directories in which images have their applets. */
const imageDirectories = ["/bin", "/sbin", "/usr/bin", "/usr/sbin"];
const program = "samples/busybox/busybox.ts";

/** The paths of programs, as a container sees them. */
export interface ProgramPlaces {
  readonly release: string;
  readonly machine: readonly string[];
}

const inContainer: ProgramPlaces = { release: releaseInContainer, machine: ["/usr/local/bin", "/usr/bin", "/bin"] };

/**
 * Scripts by which containers find an image's applets. Each script chooses the program when it runs, because the lab
 * node's process may see other programs than its containers.
 */
export function appletScripts(names: readonly AppletName[], places = inContainer): Record<string, string> {
  if (names.length === 0) return {};
  const scripts = names.map(
    (name) =>
      [name, `#!/bin/sh\n${choicesOf(name, places)}exec node ${places.release}/${program} ${name} "$@"\n`] as const,
  );
  return { ...Object.fromEntries(scripts), [multiCallName]: multiCall(names, places) };
}

/**
 * Replaces the first word of a command, such as `/bin/wget`, by the path of the applet's script if the image has this
 * applet. The machine may have no file at this path. Other words stay unchanged.
 */
export function appletCommand(word: string, names: readonly AppletName[]): string {
  const slash = word.lastIndexOf("/");
  const name = word.slice(slash + 1);
  if (names.length === 0 || !imageDirectories.includes(word.slice(0, Math.max(slash, 0)))) return word;
  return [multiCallName, ...names].includes(name) ? `${scriptDirectory}/${name}` : word;
}

function choicesOf(name: AppletName, places: ProgramPlaces): string {
  return providers[name]
    .map((provider) => (provider === "machine" ? inMachine(name, places) : inBusybox(name, places)))
    .join("");
}

function inMachine(name: string, { machine }: ProgramPlaces): string {
  return machine.map((directory) => `[ -x ${directory}/${name} ] && exec ${directory}/${name} "$@"\n`).join("");
}

function inBusybox(name: string, { machine }: ProgramPlaces): string {
  return machine
    .map((directory) => `${directory}/${multiCallName}`)
    .map((path) => `[ -x ${path} ] && ${path} --list | grep -qx ${name} && exec ${path} ${name} "$@"\n`)
    .join("");
}

/**
 * The script for `busybox APPLET …`. It tries the image's applets, then the machine's busybox, then the machine's
 * program with the applet's name.
 */
function multiCall(names: readonly AppletName[], places: ProgramPlaces): string {
  return `#!/bin/sh\ncase "$1" in\n  ${names.join("|")}) exec "$@" ;;\nesac\n${inMachine(multiCallName, places)}exec "$@"\n`;
}

import { releaseInContainer, scriptDirectory } from "./container-paths.ts";

/** The programs that may provide an applet, in order of preference. If none does, the release's own program is used. */
const providers = {
  // Use busybox's httpd, because the program of this name on other machines is Apache.
  httpd: ["busybox"],
  // nc differs between machines: some lack -e, and Debian's busybox lacks -z.
  nc: [],
  // The busybox of some machines resolves a name with a dot, such as web.shop, without the search list.
  nslookup: ["machine"],
  // Debian's busybox has neither TLS nor -T.
  wget: ["machine"],
} as const satisfies Readonly<Record<string, readonly ("machine" | "busybox")[]>>;

/** A program of busybox that machines often lack. */
export type AppletName = keyof typeof providers;
export const appletNames = Object.keys(providers) as readonly AppletName[];

const multiCallName = "busybox";
/** Where images have their applets. */
const imageDirectories = ["/bin", "/sbin", "/usr/bin", "/usr/sbin"];
const program = "samples/busybox/busybox.ts";

/** The locations of programs, as a container sees them. */
export interface ProgramPlaces {
  readonly release: string;
  readonly machine: readonly string[];
}

const inContainer: ProgramPlaces = { release: releaseInContainer, machine: ["/usr/local/bin", "/usr/bin", "/bin"] };

/**
 * Scripts by which containers find an image's applets. Each script chooses the program when it runs, because the node's
 * process may not see the programs that its containers see.
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
 * Replaces the first word of a command by the applet's script, such as `/bin/wget` in an image with this applet. The
 * machine may have no such file. Other words stay unchanged.
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

/** `busybox APPLET …`: the image's applets, then the machine's busybox, then the machine's program of that name. */
function multiCall(names: readonly AppletName[], places: ProgramPlaces): string {
  return `#!/bin/sh\ncase "$1" in\n  ${names.join("|")}) exec "$@" ;;\nesac\n${inMachine(multiCallName, places)}exec "$@"\n`;
}

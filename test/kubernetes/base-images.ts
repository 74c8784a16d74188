// The images that a cluster needs first: pause, CoreDNS and busybox. Each has one static program.
import { copyFileSync, globSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { OciLayout } from "../../scripts/image/oci-layout.ts";
import { pauseImage } from "./node-plan.ts";
import { runCommand } from "./run-command.ts";

export const coreDnsImage = "registry.serin.test/coredns:1";
export const busyboxImage = "registry.serin.test/busybox:1";
const busybox = "/bin/busybox";
/** Even a static program needs these shared objects of the C library to resolve names. */
const nameLibraries = "/lib{,64}/{*-linux-gnu/,}{libc.so.6,libresolv.so.2,libnss_*.so.2,ld-linux-*.so.*}";
const applets = [
  "sh",
  "sleep",
  "cat",
  "ls",
  "wget",
  "nc",
  "ip",
  "id",
  "echo",
  "true",
  "false",
  "nslookup",
  "httpd",
  "timeout",
  "grep",
  "date",
];

interface BaseImage {
  readonly name: string;
  readonly program: string;
  readonly entrypoint: readonly string[];
  readonly applets: readonly string[];
}

/** Writes an archive for containerd to import, and returns its path. */
export function writeBaseImages(directory: string, coredns: string): string {
  const images: readonly BaseImage[] = [
    { name: pauseImage, program: busybox, entrypoint: ["/bin/sleep", "infinity"], applets: ["sleep"] },
    { name: busyboxImage, program: busybox, entrypoint: [], applets },
    { name: coreDnsImage, program: coredns, entrypoint: ["/bin/coredns"], applets: [] },
  ];
  mkdirSync(directory, { recursive: true });
  const layoutDirectory = join(directory, "layout");
  const layout = new OciLayout(layoutDirectory);
  layout.open();
  for (const image of images) addImage(layout, directory, image);
  layout.close();
  const archive = join(directory, "base-images.tar");
  runCommand(["tar", "--create", "--file", archive, "--directory", layoutDirectory, "."]);
  rmSync(layoutDirectory, { recursive: true });
  return archive;
}

function addImage(
  layout: OciLayout,
  directory: string,
  { name, program, entrypoint, applets: links }: BaseImage,
): void {
  const root = mkdtempSync(join(directory, "root-"));
  for (const place of ["bin", "tmp", "proc", "sys", "dev", "etc"]) mkdirSync(join(root, place));
  writeFileSync(join(root, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\n");
  const file = program === busybox ? "busybox" : "coredns";
  for (const library of program === busybox ? globSync(nameLibraries) : []) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    copyFileSync(library, join(root, library));
  }
  copyFileSync(program, join(root, "bin", file));
  for (const link of links) symlinkSync(file, join(root, "bin", link));
  const layer = layout.addLayer(root);
  layout.addImage(name, { entrypoint, environment: { PATH: "/bin" }, labels: {} }, [
    { platform: { os: "linux", architecture: process.arch === "arm64" ? "arm64" : "amd64" }, layers: [layer] },
  ]);
  rmSync(root, { recursive: true });
}

import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { ImageCatalogue } from "./image-catalogue.ts";
import { parseImageReference } from "./image-reference.ts";
import { parseImageCatalogue } from "./parse-catalogue.ts";
import { addRelease, listReleases, writeOwnRelease } from "./releases.ts";

const builtIn = parseImageCatalogue(
  readFileSync(join(import.meta.dirname, "../../../manifests/images.yaml"), "utf8"),
  "manifests/images.yaml",
);

const directories: string[] = [];
after(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

function newDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "serin-images-"));
  directories.push(directory);
  return directory;
}

function newState(): string {
  const state = newDirectory();
  writeOwnRelease(state, { version: "1.0.0", root: "/release", nodeModules: undefined });
  return state;
}

function newTree(version: string): string {
  const tree = newDirectory();
  for (const directory of ["bin", "src"]) mkdirSync(join(tree, directory));
  writeFileSync(join(tree, "bin/serin"), "#!/bin/sh\n");
  writeFileSync(join(tree, "package.json"), JSON.stringify({ version }));
  return tree;
}

test("short image names are completed as Docker does", () => {
  assert.deepEqual(parseImageReference("busybox"), { repository: "docker.io/library/busybox", tag: "latest" });
  assert.deepEqual(parseImageReference("curlimages/curl:8"), { repository: "docker.io/curlimages/curl", tag: "8" });
  assert.deepEqual(parseImageReference("localhost:5000/a/b@sha256:12"), {
    repository: "localhost:5000/a/b",
    tag: "latest",
  });
  assert.throws(() => parseImageReference("a b"), /couldn't parse image name/);
});

test("command and args replace an image's entrypoint and arguments as in Kubernetes", async () => {
  const catalogue = new ImageCatalogue(newState(), builtIn);
  const argv = (image: string, command?: string[], args?: string[]): Promise<readonly string[]> =>
    catalogue.resolve({ image, command, args }).then((found) => found.argv);
  assert.deepEqual(await argv("busybox"), ["/bin/sh"]);
  assert.deepEqual(await argv("curlimages/curl", ["/bin/sleep", "infinity"]), ["/bin/sleep", "infinity"]);
  assert.deepEqual(await argv("docker.io/istio/pilot:1.0.0", undefined, ["discovery"]), [
    "serin",
    "pilot",
    "discovery",
  ]);
  assert.deepEqual(await argv("gcr.io/x/install-cni:1.0.0", ["install-cni"], ["--log"]), ["serin", "cni", "--log"]);
  assert.deepEqual(await argv("docker.io/istio/examples-bookinfo-details-v1:1.20.3"), [
    "node",
    "/opt/serin/samples/bookinfo/src/details.ts",
  ]);
});

test("an image names the user of its program, and an image without one means root", async () => {
  const state = newState();
  writeFileSync(join(state, "images.yaml"), "images:\n- images: ['*/mine']\n  entrypoint: [node]\n  user: '7'\n");
  const catalogue = new ImageCatalogue(state, builtIn);
  const runsAs = async (image: string): Promise<unknown> =>
    (await catalogue.resolve({ image, command: undefined, args: undefined })).runsAs;
  assert.deepEqual(await runsAs("istio/pilot:1.0.0"), { user: 1337, group: 1337 });
  assert.deepEqual(await runsAs("busybox"), { user: 0, group: 0 });
  assert.deepEqual(await runsAs("my/mine"), { user: 7, group: 0 });
});

test("images such as busybox provide its applets, also for an entry of the user's catalogue", async () => {
  const state = newState();
  writeFileSync(join(state, "images.yaml"), "images:\n- images: ['*/tools']\n  entrypoint: []\n  applets: [wget]\n");
  const catalogue = new ImageCatalogue(state, builtIn);
  const resolve = async (image: string, command?: string[], args?: string[]): Promise<unknown> => {
    const { argv, applets } = await catalogue.resolve({ image, command, args });
    return [argv, applets];
  };
  const all = ["httpd", "nc", "nslookup", "wget"];
  assert.deepEqual(await resolve("busybox:1.36", undefined, ["httpd", "-f"]), [["httpd", "-f"], all]);
  assert.deepEqual(await resolve("alpine", ["/bin/nc"], ["-l"]), [["/opt/image/bin/nc", "-l"], all]);
  assert.deepEqual(await resolve("curlimages/curl", undefined, ["/usr/bin/nslookup", "web"]), [
    ["/opt/image/bin/nslookup", "web"],
    all,
  ]);
  assert.deepEqual(await resolve("my/tools", ["/bin/nc"]), [["/bin/nc"], ["wget"]]);
  assert.deepEqual(await resolve("debian", ["/usr/bin/wget"]), [["/usr/bin/wget"], []]);
});

test("a user's program that containers cannot see is refused, and the message says where to put it", async () => {
  const state = newDirectory();
  const tree = newTree("1.0.0");
  writeOwnRelease(state, { version: "1.0.0", root: tree, nodeModules: undefined });
  const elsewhere = newTree("2.0.0");
  symlinkSync(elsewhere, join(tree, "link"));
  const catalogue = new ImageCatalogue(state, builtIn);
  const resolve = async (program: string, command?: string[]): Promise<unknown> => {
    writeFileSync(join(state, "images.yaml"), `images:\n- images: ['*/mine']\n  entrypoint: [${program}]\n`);
    return await catalogue.resolve({ image: "my/mine", command, args: undefined });
  };
  for (const program of ["/home/me/server", `${tree}/bin/serin`, "link/bin/serin", "bin/absent"])
    await assert.rejects(
      resolve(program),
      ({ message }: Error) =>
        message.startsWith(
          `containers cannot see "${program}", the program for image "my/mine": expected a file in the release tree ${tree} or below /usr, /bin`,
        ),
      program,
    );
  for (const program of ["bin/serin", "/usr/sbin/nginx", "sh", "/opt/serin/bin/serin"]) await resolve(program);
  // A container with its own command does not run the image's program, so a missing program does not matter.
  await resolve("/home/me/server", ["sleep", "infinity"]);
});

test("the error for an unknown image explains how to add it", async () => {
  const state = newState();
  const catalogue = new ImageCatalogue(state, builtIn);
  await assert.rejects(
    catalogue.resolve({ image: "nginx:1", command: undefined, args: undefined }),
    /no program for image "nginx:1"; add one to .*images\.yaml/,
  );
  writeFileSync(join(state, "images.yaml"), "images:\n- images: ['*/nginx']\n  entrypoint: [/usr/sbin/nginx]\n");
  assert.deepEqual((await catalogue.resolve({ image: "nginx:1", command: undefined, args: ["-g"] })).argv, [
    "/usr/sbin/nginx",
    "-g",
  ]);
});

test("an added release tree is used for images whose tag is its version", async () => {
  const state = newState();
  assert.equal(addRelease(state, newTree("2.0.0")), "2.0.0");
  const { release } = await new ImageCatalogue(state, builtIn).resolve({
    image: "istio/ztunnel:2.0.0",
    command: undefined,
    args: undefined,
  });
  const catalogue = new ImageCatalogue(state, builtIn);
  const never = await catalogue.resolve({ image: "istio/pilot:1.7.7-distroless", command: undefined, args: undefined });
  assert.deepEqual(
    never.release,
    { version: "1.7.7", root: "/release" },
    "the cluster's own tree, under the version's name",
  );
  assert.deepEqual(release, {
    version: "2.0.0",
    root: join(state, "releases/2.0.0"),
    nodeModules: "/release/node_modules",
  });
  assert.deepEqual(listReleases(state, "1.0.0"), [
    { version: "1.0.0", own: true },
    { version: "2.0.0", own: false },
  ]);
  assert.throws(() => addRelease(state, newTree("1.0.0")), /the same as the cluster/);
  assert.throws(() => addRelease(state, tmpdir()), /is not a release tree/);
  assert.throws(() => addRelease(state, newTree("..")), /has no usable version/);
  assert.ok(existsSync(join(state, "release.json")));
});

test("a variable in the catalogue may stand for the image's tag, and ids are never treated as names with tags", async () => {
  const found = await new ImageCatalogue(newState(), builtIn).resolve({
    image: "quay.io/shardul/nginx:v2",
    command: undefined,
    args: undefined,
  });
  assert.equal(found.environment["NGINX_SERVER_VERSION"], "v2");
  assert.match(found.id, /^quay\.io\/shardul\/nginx@sha256:[0-9a-f]{64}$/);
});

test("an invalid catalogue names the entry and the field", () => {
  assert.throws(
    () => parseImageCatalogue("images:\n- images: [a]\n  entry: [x]\n", "f"),
    /f: images\[0\]\.entry: unknown field/,
  );
  assert.throws(
    () => parseImageCatalogue("images:\n- images: a\n", "f"),
    /f: images\[0\]\.images must be a list of strings/,
  );
  assert.throws(
    () => parseImageCatalogue("images:\n- images: [a]\n  applets: [wget, vi]\n", "f"),
    /f: images\[0\]\.applets: unknown applet "vi"; expected one of httpd, nc, nslookup, wget/,
  );
});

// A program for a test. It starts another program in a new PID namespace, while it is itself in a pod's network
// namespace. It prints the output of that program.
import { execFileSync } from "node:child_process";
import { check, libc, NetworkNamespace } from "../../net/index.ts";

/** The Linux flag CLONE_NEWPID. */
const cloneNewPid = 0x2000_0000;

const [program = ""] = process.argv.slice(2);
using pod = NetworkNamespace.create();
// Give the children a new PID namespace. This comes last, because this process cannot create threads afterwards.
check("unshare a PID namespace", libc().unshare(cloneNewPid));
const unshared = ["--net", process.execPath, program];
process.stdout.write(pod.enter(() => execFileSync("unshare", unshared, { encoding: "utf8" })));

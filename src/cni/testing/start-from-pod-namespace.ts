// A program for a test. It starts another program in a new PID namespace, while it is itself in a pod's network
// namespace. Prints what that program prints.
import { execFileSync } from "node:child_process";
import { check, libc, NetworkNamespace } from "../../net/index.ts";

/** The flag CLONE_NEWPID of Linux. */
const cloneNewPid = 0x2000_0000;

const [program = ""] = process.argv.slice(2);
using pod = NetworkNamespace.create();
// Give the children a new PID namespace. This comes last, because afterwards this process cannot create threads.
check("unshare a PID namespace", libc().unshare(cloneNewPid));
const unshared = ["--net", process.execPath, program];
process.stdout.write(pod.enter(() => execFileSync("unshare", unshared, { encoding: "utf8" })));

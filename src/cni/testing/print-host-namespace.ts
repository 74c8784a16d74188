// A program for a test. It prints which network namespace it finds as that of its node.
import { openHostNamespace } from "../host-namespace.ts";

process.stdout.write(String(openHostNamespace("/proc").inode));

// Package neighbour tells processes of one machine of each other's death, by the
// kernel's word: at once, where those of other machines only see a lease run out.
//
// A process shows itself by a listening socket in the abstract namespace, under a name
// that is another one for each process. The kernel lets nobody else have that name as
// long as the process lives. Who can connect to it asks the kernel which process that
// is, opens a pidfd of it, and connects once more: if the same process answers still, the
// pidfd is of that process, and of none that has its pid since. When the pidfd tells
// the end, the kernel has ended the process, and has sent the signals that its
// children asked for in that case (PR_SET_PDEATHSIG).
//
// Names can be seen, and in another network namespace or on another machine anybody may
// take one. So Meet is only for names of the same Machine, as told by somebody who is
// to be trusted. Nothing is concluded from what is not there.
package neighbour

// SPDX-License-Identifier: EUPL-1.2

#include "textflag.h"

// func lines(p unsafe.Pointer, n uintptr)
TEXT ·lines(SB), NOSPLIT, $0-16
	MOVD p+0(FP), R0
	MOVD n+8(FP), R1
	AND  $63, R0, R2
	ADD  R2, R1, R1
	ADD  $63, R1, R1
	LSR  $6, R1, R1 // so many; an end would wrap in the last line there is
	CBZ  R1, done
next:
	PRFM (R0), PLDL1KEEP
	ADD  $64, R0, R0
	SUB  $1, R1, R1
	CBNZ R1, next
done:
	RET

package etcdlock

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/filelock-go/filelock/etcdlock/internal/keyqueue"
)

// explain sorts etcd's errors into those that may pass, those about leases, those
// about rights, and all others.
func explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, rpctypes.ErrLeaseNotFound):
		return fmt.Errorf("%w: %w", keyqueue.ErrNoLease, err)
	case denied(err):
		return &deniedError{err}
	case passing(err):
		return fmt.Errorf("%w: %w", keyqueue.ErrPassing, err)
	default:
		return err
	}
}

// passing reports whether the same request may succeed later: the server was not
// there, had no leader or too much to do, or did not answer in time.
func passing(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	switch code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted, codes.Aborted, codes.Unknown:
		return !errors.Is(err, rpctypes.ErrNoSpace)
	default:
		return false
	}
}

// denied reports whether etcd refuses who asks, or is refused for its certificate:
// that does not pass until somebody does something about it.
func denied(err error) bool {
	if code(err) == codes.Unavailable && strings.Contains(err.Error(), "authentication handshake failed: tls: failed to verify certificate") {
		return true
	}
	for _, refusal := range []error{
		rpctypes.ErrUserEmpty, rpctypes.ErrAuthFailed, rpctypes.ErrPermissionDenied, rpctypes.ErrInvalidAuthToken,
		rpctypes.ErrPermissionNotGranted,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	c := code(err)
	return c == codes.PermissionDenied || c == codes.Unauthenticated
}

func code(err error) codes.Code {
	var known rpctypes.EtcdError
	if errors.As(err, &known) {
		return known.Code()
	}
	return status.Code(err)
}

// deniedError matches fs.ErrPermission, and says what etcd says.
type deniedError struct{ err error }

func (e *deniedError) Error() string        { return e.err.Error() }
func (e *deniedError) Unwrap() error        { return e.err }
func (e *deniedError) Is(target error) bool { return target == fs.ErrPermission }
